"""Values that a document has for secrets: a default or an example may be somebody's key."""

from tools.importers import NoteList
from tools.importers.openapi.references import Place
from tools.importers.openapi.words import list_of, object_of
from tools.importers.requests.secrets import is_blank, is_secret_name
from tools.json_text import Json
from tools.literal_secrets import holds_issued_key
from tools.redaction import MINIMUM_SECRET_LENGTH

__all__ = ["without_secret_values"]

_KEYS = ("default", "example", "examples", "const")


def without_secret_values(name: str, schema: Json, place: Place, notes: NoteList) -> Json:
    """The schema of a parameter or property without values that may be secrets."""
    members = object_of(schema)
    hidden = [
        key
        for key in _KEYS
        if key in members
        and any(_is_secret(name, one) for one in list_of(members[key]) or [members[key]])
    ]
    if not hidden:
        return schema
    for key in hidden:
        notes.add(place / key, "this may be a secret and is left out")
    return {key: one for key, one in members.items() if key not in hidden}


def _is_secret(name: str, value: Json) -> bool:
    if not isinstance(value, str) or is_blank(value):
        return False
    is_long = len(value) >= MINIMUM_SECRET_LENGTH
    return holds_issued_key(value) or (is_long and is_secret_name(name))
