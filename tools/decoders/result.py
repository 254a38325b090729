"""What decoding gives, and the limits it keeps."""

from dataclasses import dataclass

from tools.errors import ErrorKind, RunError
from tools.json_text import Json

__all__ = ["DecodeLimits", "Decoded", "StoredFile", "UndecodableError", "undecodable"]

_EXCERPT_CHARS = 120


@dataclass(frozen=True)
class StoredFile:
    """Binary content that the record keeps as a file."""

    name: str
    content_type: str
    data: bytes


@dataclass(frozen=True)
class Decoded:
    """The value of a body; `file` is its content where the body is binary.

    `warnings` are sentences about what was repaired, guessed or left out.
    """

    value: Json
    warnings: tuple[str, ...] = ()
    file: StoredFile | None = None


@dataclass(frozen=True)
class DecodeLimits:
    """How much a body may turn into; beyond a limit decoding ends with a `size_limit` error."""

    #: Bytes that one compressed body or archive may unpack to.
    max_bytes: int = 50 * 1024 * 1024
    #: Levels of nesting in XML and YAML. JSON has the limit of its parser, 1,024.
    max_depth: int = 200
    #: Rows of a table, lines of NDJSON.
    max_rows: int = 1_000_000
    #: Cells of all tables of a body.
    max_cells: int = 5_000_000
    #: Bytes of a YAML text, whose parser is slow.
    max_yaml_bytes: int = 5_000_000
    #: Nodes of a YAML document with its aliases written out.
    max_yaml_nodes: int = 1_000_000
    #: Entries of an archive.
    max_entries: int = 1_000
    #: How many times larger an archive or spreadsheet may unpack to, once over a megabyte.
    max_ratio: int = 200
    #: Pages of a PDF whose text is read; the rest is left out with a warning.
    max_pages: int = 500
    #: Seconds after which no further page of a PDF is read, with a warning.
    max_pdf_seconds: float = 20.0


class UndecodableError(RunError):
    """A body that is not what it says; `bare_message` shows nothing of it."""

    def __init__(self, bare_message: str, shown: str) -> None:
        super().__init__(
            ErrorKind.DECODE,
            bare_message + shown,
            hint="Look at the answer itself: an error page or a login page is a common reason.",
        )
        self.bare_message = bare_message


def undecodable(label: str, what: str, position: str, near: str) -> UndecodableError:
    """The `decode` error for a body that is not what it says.

    `label` is the content type, `what` the form it promises, `position` the fault and where it
    is, `near` the text there.
    """
    excerpt = near[:_EXCERPT_CHARS] + ("…" if len(near) > _EXCERPT_CHARS else "")
    shown = f": {excerpt!r}" if excerpt else ""
    return UndecodableError(f"The answer is labelled {label} but is not {what}: {position}", shown)
