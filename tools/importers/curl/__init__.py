"""curl commands as tools: what people copy from documentation and from browsers."""

from tools.importers import DocumentError, ImportResult, NoteList
from tools.importers.curl.command import OTHER_SCHEME, read_command
from tools.importers.curl.words import shell_commands
from tools.importers.requests import BuildOptions, SeenRequest, build_result

__all__ = ["MAX_COMMAND_BYTES", "import_curl"]

MAX_COMMAND_BYTES = 5 * 1024 * 1024


def import_curl(
    text: str, *, system_id: str | None = None, folder: str | None = None, literal: bool = False
) -> ImportResult:
    """The tools and systems of one or more curl commands. Raises `DocumentError`."""
    if len(text) > MAX_COMMAND_BYTES:
        raise DocumentError(f"the text is longer than {MAX_COMMAND_BYTES:,} characters")
    notes = NoteList()
    requests: list[SeenRequest] = []
    others = 0
    for number, words in enumerate(shell_commands(text), start=1):
        # Prompts, `sudo`, and variables set for one command stand before its name.
        start = next((i for i, word in enumerate(words) if _is_curl(word)), None)
        if start is None:
            others += 1
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
    options = BuildOptions("curl", "curl", system_id, folder, literal, is_whole=False)
    return build_result(requests, options, notes)


def _is_curl(word: str) -> bool:
    return word.replace("\\", "/").rpartition("/")[2].lower() in {"curl", "curl.exe"}
