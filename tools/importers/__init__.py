"""Other people's descriptions of an API as tools: one package or file a format.

Each importer reads a document and gives an `ImportResult`. None of them fetches or stores; what a
document says and a tool cannot is named in `notes`, with its place.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tools.json_text import JsonObject
from tools.redaction import without_user_information

__all__ = [
    "DocumentError",
    "ImportResult",
    "ImportedSystem",
    "ImportedTool",
    "Note",
    "NoteList",
    "RecognisedPages",
    "RenamedInput",
]

_MOST_NOTES = 5_000


class DocumentError(Exception):
    """The document cannot be imported: `place` is a JSON pointer or a line, `hint` what to do."""

    def __init__(self, message: str, *, place: str | None = None, hint: str | None = None) -> None:
        self.message = message
        self.place = place
        self.hint = hint
        text = message if place is None else f"{place}: {message}"
        super().__init__(text if hint is None else f"{text.rstrip('.')}. {hint}")


@dataclass(frozen=True)
class Note:
    """Something of the document that was not carried over, and why."""

    place: str
    reason: str


@dataclass
class NoteList:
    """The notes of one import, each once; a hostile document cannot make it grow without end."""

    notes: dict[Note, None] = field(default_factory=dict[Note, None])
    #: Notes beyond the most that are kept.
    left_out: int = 0

    def add(self, place: object, reason: str) -> None:
        note = Note(str(place), without_user_information(reason))
        if note in self.notes:
            return
        if len(self.notes) >= _MOST_NOTES:
            self.left_out += 1
            return
        self.notes[note] = None

    def __iter__(self) -> Iterator[Note]:
        return iter(self.notes)


@dataclass(frozen=True)
class RenamedInput:
    """A parameter or body property that has another name as an input."""

    place: str
    name: str
    input: str


@dataclass(frozen=True)
class RecognisedPages:
    """The pagination of a tool, and what in the document says so."""

    type: str
    because: str


@dataclass(frozen=True)
class ImportedTool:
    """A tool made from one operation. `key` stays the same when the document changes."""

    definition: JsonObject
    key: str
    #: The operation as people know it, such as `GET /pets`.
    label: str
    renamed: tuple[RenamedInput, ...] = ()
    pages: RecognisedPages | None = None
    is_deprecated: bool = False
    #: What its document calls the operation, where it calls no other so: it may move with it.
    operation_id: str | None = None


@dataclass(frozen=True)
class ImportedSystem:
    """A system that the tools use, the names of its credentials, and the values that were found."""

    definition: JsonObject
    credentials: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    #: What each credential is for, where the document says so.
    purposes: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class ImportResult:
    """What a document gives. `all_keys` has the operations that a selection left out too."""

    format: str
    title: str
    system: ImportedSystem
    tools: tuple[ImportedTool, ...]
    all_keys: frozenset[str]
    notes: NoteList
    further_systems: tuple[ImportedSystem, ...] = ()
    #: The document describes all of its API: tools that it has no more are removed.
    is_whole: bool = True
    #: The operationId of each key, for those that are unique.
    operation_ids: Mapping[str, str] = field(default_factory=dict[str, str])
