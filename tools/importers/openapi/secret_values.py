"""Values that a document has for secrets: a default or an example may be somebody's key."""

from typing import cast
from urllib.parse import unquote_plus

from tools.importers import NoteList
from tools.importers.openapi.masking import VALUE_LEFT_OUT, is_key
from tools.importers.openapi.references import Document, Place, ReferenceProblem
from tools.importers.openapi.words import list_of, object_of
from tools.importers.secrets import is_blank, is_secret_name
from tools.json_text import Json
from tools.literal_secrets import holds_issued_key
from tools.redaction import MINIMUM_SECRET_LENGTH

__all__ = ["is_issued", "is_secret", "without_secret_parameters", "without_secret_values"]

_KEYS = ("default", "example", "examples", "const", "enum")
#: Levels of a value that are looked at.
_MOST_LEVELS = 20


def without_secret_values(
    name: str, schema: Json, place: Place, document: Document, notes: NoteList
) -> tuple[Json, Place]:
    """The schema of a parameter or property without values that may be secrets, and its place.

    What it refers to is put in place of the reference where that has such values.
    """
    try:
        target, at = document.follow(schema, place)
    except ReferenceProblem:
        # Told where the schema is converted.
        return schema, place
    members = object_of(target)
    if members.keys().isdisjoint(_KEYS):
        return schema, place
    choices = list_of(members.get("enum"))
    if len(choices) < 2:
        choices = []
    is_called_so = members.get("format") == "password" or members.get("writeOnly") is True
    hidden = [
        key
        for key in _KEYS
        if key in members
        and any(
            # An example that is an object is not carried over.
            (isinstance(one, str) or not key.startswith("example"))
            and (is_secret(name, one) or (is_called_so and isinstance(one, str)))
            and (one not in choices or is_issued(one))
            for one in list_of(members[key]) or [members[key]]
        )
    ]
    if not hidden:
        return schema, place
    for key in hidden:
        notes.add(at / key, VALUE_LEFT_OUT)
    return {key: one for key, one in members.items() if key not in hidden}, at


def without_secret_parameters(path: str) -> str:
    """A path whose fixed query has no value that may be a secret."""
    before, mark, query = path.partition("?")
    if not mark:
        return path
    kept = [
        pair
        for pair in query.split("&")
        for name, _, value in [pair.partition("=")]
        if not is_secret(unquote_plus(name), unquote_plus(value))
    ]
    return f"{before}?{'&'.join(kept)}" if kept else before


def is_issued(value: Json, levels: int = _MOST_LEVELS) -> bool:
    """Whether a value holds what an issuer of keys gave somebody."""
    return _holds("", value, levels)


def is_secret(name: str, value: Json) -> bool:
    """Whether a value is a secret, by its look or the name it has, or holds one."""
    return _holds(name, value, _MOST_LEVELS)


def _holds(name: str, value: Json, levels: int) -> bool:
    """Whether a value of this name is a secret, or has one inside."""
    if isinstance(value, str):
        if is_blank(value):
            return False
        is_long = len(value) >= MINIMUM_SECRET_LENGTH
        return holds_issued_key(value) or (is_long and is_secret_name(name))
    if levels == 0:
        return isinstance(value, dict | list)
    if isinstance(value, dict):
        members = cast("dict[str, Json]", value).items()
        return any(is_key(key) or _holds(key, one, levels - 1) for key, one in members)
    return any(_holds(name, one, levels - 1) for one in list_of(value))
