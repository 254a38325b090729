"""curl commands as tools: what people copy from documentation and from browsers."""

import re
from collections.abc import Sequence

from tools.importers import DocumentError, ImportResult, NoteList
from tools.importers.curl.command import OTHER_SCHEME, read_command
from tools.importers.curl.words import shell_commands
from tools.importers.requests import BuildOptions, SeenRequest, build_result
from tools.importers.requests.draft import Variable
from tools.importers.secrets import is_secret_name, looks_secret
from tools.importers.text import only_reference

__all__ = ["MAX_COMMAND_BYTES", "import_curl"]

MAX_COMMAND_BYTES = 5 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z_]\w{0,79}")
#: How PowerShell sets a variable.
_SPACED = re.compile("\0=\0")


def import_curl(
    text: str, *, system_id: str | None = None, folder: str | None = None, literal: bool = False
) -> ImportResult:
    """The tools and systems of one or more curl commands. Raises `DocumentError`."""
    if len(text) > MAX_COMMAND_BYTES:
        raise DocumentError(f"the text is longer than {MAX_COMMAND_BYTES:,} characters")
    notes = NoteList()
    requests: list[SeenRequest] = []
    variables: dict[str, Variable] = {}
    others = 0
    for number, words in enumerate(shell_commands(text), start=1):
        # Prompts, `sudo`, and variables set for one command stand before its name.
        start = next((i for i, word in enumerate(words) if _is_curl(word)), None)
        assigned = _assigned(words[:start])
        variables |= assigned
        if start is None:
            others += not assigned
            continue
        requests.extend(read_command(words[start + 1 :], f"command {number}", notes))
    if others:
        notes.add("text", f"{others} commands that are not curl are left out")
    others_only = [one for one in notes if one.reason.startswith(OTHER_SCHEME)]
    if not requests and others_only:
        raise DocumentError(others_only[0].reason, place=others_only[0].place)
    if not requests:
        raise DocumentError(
            "there is no curl command with a url in it",
            hint="Such a command is: curl https://api.example.com/things -H 'Accept: text/csv'",
        )
    options = BuildOptions("curl", "curl", system_id, folder, literal, variables, is_whole=False)
    return build_result(requests, options, notes)


def _assigned(words: Sequence[str]) -> dict[str, Variable]:
    """The variables that a command sets, and those that stand before its name."""
    found: dict[str, Variable] = {}
    for word in _SPACED.sub("=", "\0".join(words)).split("\0"):
        name, equals, value = word.partition("=")
        name = only_reference(name) or name
        if equals and _NAME.fullmatch(name):
            found[name] = Variable(value, is_secret_name(name) or looks_secret(value))
    return found


def _is_curl(word: str) -> bool:
    return word.replace("\\", "/").rpartition("/")[2].lower() in {"curl", "curl.exe"}
