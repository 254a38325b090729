"""Secrets that somebody pasted into a description, or named something by: found and masked."""

import re

from tools.importers.secrets import is_blank, is_secret_name, looks_secret, replace_in_urls
from tools.literal_secrets import holds_issued_key
from tools.redaction import MINIMUM_SECRET_LENGTH, REDACTED, without_user_information

__all__ = ["NAME_LEFT_OUT", "VALUE_LEFT_OUT", "is_key", "without_issued_keys", "without_secrets"]

VALUE_LEFT_OUT = "this may be a secret and is left out"
#: Nothing can be sent under another name than its own.
NAME_LEFT_OUT = "its name may be a secret; it is left out"
#: The shortest that an issuer gives.
_SHORTEST_KEY = 20
#: What may be a key that somebody pasted into a text.
_RUN = re.compile(r"[A-Za-z0-9_.-]{16,}")
#: A word of a shell: in single quotes, in double quotes, or without blanks.
_WORD = r"""'(?:[^']|'"'"'|'\\'')*'|"(?:\\.|[^"\\])*"|[^\s`"']+"""
_USER_OPTION = re.compile(
    rf"(?P<open>(?<![\w-])(?:-u|-U|--user|--proxy-user)[ =]?\s{{0,9}})(?P<value>{_WORD})", re.DOTALL
)
_VARIABLE = re.compile(r"\$\w+|%\w+%")
_SIGNED = re.compile(
    r"(?P<open>\bauthorization\b[\"'`]{0,2}\s{0,9}[:=]\s{0,9}[\"'`]?(?:[A-Za-z]{1,20}[ ])?)"
    r"(?P<value>[^\s\"'`,;<>]+)",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"(?P<open>(?<![\w.-])(?P<name>[\w.-]{1,80})[\"'`]{0,2}\s{0,9}[:=]\s{0,9}[\"'`]?)"
    r"(?P<value>[^\s\"'`&,;<>(){}\[\]]+)"
)


def is_key(text: str) -> bool:
    """Whether a name holds what an issuer of keys gave somebody: it cannot be kept."""
    return len(text) >= _SHORTEST_KEY and holds_issued_key(text)


def without_issued_keys(text: str) -> str:
    """A text with a mark in place of what an issuer of keys gave somebody."""
    if not holds_issued_key(text):
        return text
    text = _RUN.sub(lambda run: REDACTED if holds_issued_key(run[0]) else run[0], text)
    # A private key is lines of text.
    return REDACTED if holds_issued_key(text) else text


def without_secrets(text: str) -> str:
    """A text with marks in place of the keys and passwords that its examples quote.

    Masked are issued keys, users of urls, what `curl -u` has behind the colon, and what a header or
    a field has whose name says secret, unless it reads as words or as a placeholder.
    """
    text = without_issued_keys(without_user_information(text))
    if "://" in text:
        text = replace_in_urls(text, _mark)
    if "curl" in text:
        text = _USER_OPTION.sub(_without_password, text)
    if ":" in text or "=" in text:
        text = _SIGNED.sub(_masked, text)
        text = _NAMED.sub(_masked_if_named_so, text)
    return text


def _mark(_name: str, _value: str) -> str:
    return REDACTED


def _without_password(found: re.Match[str]) -> str:
    word = found["value"]
    quote = word[0] if word[0] in "'\"" and word[-1] == word[0] else ""
    user, colon, password = word.strip(quote or None).partition(":")
    plain = password.strip("\"',.;)")
    if not colon or is_blank(plain) or _VARIABLE.fullmatch(plain):
        return found[0]
    return f"{found['open']}{quote}{user}:{REDACTED}{quote}"


def _masked_if_named_so(found: re.Match[str]) -> str:
    return _masked(found) if is_secret_name(found["name"]) else found[0]


def _masked(found: re.Match[str]) -> str:
    value = found["value"]
    if is_blank(value) or not _is_no_word(value):
        return found[0]
    return f"{found['open']}{REDACTED}"


def _is_no_word(value: str) -> bool:
    """Whether a value is made up as a secret is, not written as a word of a sentence is."""
    if looks_secret(value):
        return True
    is_long = len(value) >= MINIMUM_SECRET_LENGTH
    return is_long and sum(map(str.isdigit, value)) >= 3 and any(map(str.isalpha, value))
