"""Values that a document has for secrets: a default or an example may be somebody's key."""

from tools.importers import NoteList
from tools.importers.openapi.references import Document, Place, ReferenceProblem
from tools.importers.openapi.words import list_of, object_of
from tools.importers.requests.secrets import is_blank, is_secret_name
from tools.json_text import Json
from tools.literal_secrets import holds_issued_key
from tools.redaction import MINIMUM_SECRET_LENGTH

__all__ = ["without_secret_values"]

_KEYS = ("default", "example", "examples", "const")


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
    # What everybody may choose from is no secret.
    choices = list_of(members.get("enum"))
    hidden = [
        key
        for key in _KEYS
        if key in members
        and any(
            _is_secret(name, one) and one not in choices
            for one in list_of(members[key]) or [members[key]]
        )
    ]
    if not hidden:
        return schema, place
    for key in hidden:
        notes.add(at / key, "this may be a secret and is left out")
    return {key: one for key, one in members.items() if key not in hidden}, at


def _is_secret(name: str, value: Json) -> bool:
    if not isinstance(value, str) or is_blank(value):
        return False
    is_long = len(value) >= MINIMUM_SECRET_LENGTH
    return holds_issued_key(value) or (is_long and is_secret_name(name))
