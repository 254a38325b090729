"""The words of shell commands: POSIX shells, and what browsers copy for cmd and PowerShell.

The standard library's `shlex` knows neither `$'…'` nor variables, and takes a pipe for a word.
"""

import re
from collections.abc import Iterator

from tools.importers import DocumentError
from tools.importers.text import reference, without_marks

__all__ = ["HERE", "shell_commands"]

#: Begins a word that was `@-`, where the text of standard input is known: it follows.
HERE = "@\ue003"
_HERE_STRING = "<<<"

_VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|env:(\w+)|([A-Za-z_]\w*))")
_IN_DOCUMENT = re.compile(rf"\\(?P<plain>[$`\\\n])|{_VARIABLE.pattern}")
_SUBSTITUTION = re.compile(r"\$\((?:[^()]|\([^()]*\))*\)")
_DOCUMENT = re.compile(r"<<-?[ \t]*(?P<quote>['\"\\]?)(?P<end>\w+)['\"]?")
_CAT = re.compile(rf"\$\(\s*cat\s+{_DOCUMENT.pattern}[ \t]*\n")
#: Here-documents without an end are looked at to the end of the text.
_MOST_WITHOUT_END = 100
#: Where a word begins with a quote of cmd, or a line goes on; elsewhere, `^` is a character.
_CMD = re.compile(r'\^\n|(?<!\S)\^"')
_ESCAPE = re.compile(
    r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}|.)", re.S
)
_ESCAPED = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "f": "\f",
    "v": "\v",
}


def shell_commands(text: str) -> Iterator[list[str]]:
    """The words of each command; variables are references. Raises `DocumentError`."""
    yield from _Reader(_joined(without_marks(text))).commands()


def _joined(text: str) -> str:
    """One line a command: continued lines of cmd and PowerShell are joined as those of sh are."""
    text = text.replace("\r\n", "\n")
    if _CMD.search(text):
        # cmd: `^` takes the meaning of the character after it away, and a line break is two.
        lines = (re.sub(r"\^\n\s*", " ", one) for one in text.split("^\n\n"))
        return "\n".join(re.sub(r"\^(.)", r"\1", one, flags=re.DOTALL) for one in lines)
    return re.sub(r"[ \t]`\n", " ", text)


class _Reader:
    """Reads a text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at: int = 0
        self._without_end = 0

    def commands(self) -> Iterator[list[str]]:
        words: list[str] = []
        word: list[str] | None = None
        document: re.Match[str] | None = None
        piped: str | None = None
        while self._at < len(self._text):
            one = self._text[self._at]
            if one in " \t":
                word = _ended(words, word)
                self._at += 1
            elif word is None and self._text.startswith(_HERE_STRING, self._at):
                words.append(_HERE_STRING)
                self._at += len(_HERE_STRING)
            elif word is None and (found := _DOCUMENT.match(self._text, self._at)):
                document, self._at = found, found.end()
            elif one in "\n;|&" or (one == ")" and word is None):
                word = _ended(words, word)
                self._at += 1
                if one == "\n" and document is not None:
                    piped, document = self._document(document), None
                if words:
                    yield _fed(words, piped)
                is_echo = one == "|" and len(words) == 2 and words[0] == "echo"
                piped = f"{words[1]}\n" if is_echo else None
                words = []
            elif one == "#" and word is None:
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            else:
                part = self._part(one)
                if part is not None:
                    word = [] if word is None else word
                    word.append(part)
        _ended(words, word)
        if words:
            yield _fed(words, piped)

    def _document(self, begin: re.Match[str]) -> str:
        """The here-document whose text stands at the position."""
        end = re.compile(rf"^[ \t]*{begin['end']}[ \t]*$", re.MULTILINE)
        found = end.search(self._text, self._at)
        text = self._text[self._at : found.start() if found else len(self._text)]
        self._at = found.end() if found else len(self._text)
        return _expanded(begin, text)

    def _part(self, one: str) -> str | None:
        """What stands at the position as a part of a word; None for a continued line."""
        if one == "\\":
            following = self._text[self._at + 1 : self._at + 2]
            self._at += 2
            return None if following == "\n" else following
        if one == "'":
            return self._until("'", self._at + 1)
        if self._text.startswith("$'", self._at):
            return self._ansi()
        if one == '"':
            self._at += 1
            return self._double()
        if one == "$":
            return self._dollar()
        self._at += 1
        return one

    def _until(self, end: str, start: int) -> str:
        close = self._text.find(end, start)
        if close < 0:
            raise self._unclosed(start - 1)
        self._at = close + 1
        return self._text[start:close]

    def _ansi(self) -> str:
        start = self._at + 2
        at = start
        while at < len(self._text) and self._text[at] != "'":
            at += 2 if self._text[at] == "\\" else 1
        if at >= len(self._text):
            raise self._unclosed(self._at)
        self._at = at + 1
        return _ESCAPE.sub(_unescaped, self._text[start:at])

    def _double(self) -> str:
        start = self._at - 1
        parts: list[str] = []
        while self._at < len(self._text):
            one = self._text[self._at]
            if one == '"':
                self._at += 1
                return "".join(parts)
            if one == "\\" and self._text[self._at + 1 : self._at + 2] in {*'"\\$`\n'}:
                following = self._text[self._at + 1]
                parts.append("" if following == "\n" else following)
                self._at += 2
            elif one == "$":
                parts.append(self._dollar())
            else:
                parts.append(one)
                self._at += 1
        raise self._unclosed(start)

    def _dollar(self) -> str:
        document = _CAT.match(self._text, self._at)
        if document and self._without_end < _MOST_WITHOUT_END:
            pattern = rf"^[ \t]*{document['end']}\s*\)"
            end = re.compile(pattern, re.MULTILINE).search(self._text, document.end())
            if end:
                self._at = end.end()
                text = self._text[document.end() : end.start()]
                return _expanded(document, text).removesuffix("\n")
            self._without_end += 1
        match = _VARIABLE.match(self._text, self._at)
        if match:
            self._at = match.end()
            return reference(match[1] or match[2] or match[3])
        match = _SUBSTITUTION.match(self._text, self._at)
        if match:
            self._at = match.end()
            return reference("command")
        self._at += 1
        return "$"

    def _unclosed(self, start: int) -> DocumentError:
        line = self._text.count("\n", 0, start) + 1
        column = start - self._text.rfind("\n", 0, start)
        return DocumentError("a quote is not closed", place=f"line {line}, column {column}")


def _ended(words: list[str], word: list[str] | None) -> None:
    if word is not None:
        words.append("".join(word))


def _expanded(begin: re.Match[str], text: str) -> str:
    """The text of a here-document; what its begin quotes has no variables."""
    if begin[0].startswith("<<-"):
        text = re.sub(r"^\t+", "", text, flags=re.MULTILINE)
    if begin["quote"]:
        return text

    def resolved(match: re.Match[str]) -> str:
        if match["plain"] is not None:
            return match["plain"].replace("\n", "")
        return reference(match[2] or match[3] or match[4])

    return _IN_DOCUMENT.sub(resolved, text)


def _fed(words: list[str], piped: str | None) -> list[str]:
    """The words of a command; those that say standard input hold its text, if that is known."""
    if _HERE_STRING in words[:-1]:
        place = words.index(_HERE_STRING)
        piped = f"{words[place + 1]}\n"
        words = words[:place] + words[place + 2 :]
    if piped is None:
        return words
    return [f"{one[:-2]}{HERE}{piped}" if one.endswith("@-") else one for one in words]


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "xuU" and len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if number < 0x110000 else "\ufffd"
    if code[0] in "01234567":
        return chr(int(code, 8) % 256)
    return _ESCAPED.get(code, code)
