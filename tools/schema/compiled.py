"""Validation against a compiled schema: fast for valid values, every problem for others."""

import json
from typing import Any
from urllib.parse import quote

import jsonschema_rs

from tools.json_text import Json
from tools.problems import Problem
from tools.schema.check import MAX_CHAIN, MAX_EVALUATIONS
from tools.schema.cost import evaluations
from tools.schema.explain import MAX_PROBLEMS, Explainer, ValidatorLookup
from tools.schema.references import References

__all__ = ["FORMATS", "CompiledSchema", "compile_schema"]

#: Values of `format` that are enforced; others are ignored.
FORMATS = (
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "idn-email",
    "idn-hostname",
    "ipv4",
    "ipv6",
    "iri",
    "iri-reference",
    "json-pointer",
    "regex",
    "relative-json-pointer",
    "time",
    "uri",
    "uri-reference",
    "uri-template",
    "uuid",
)

#: Levels of lists and objects in a value that is validated.
MAX_VALUE_DEPTH = 255
#: Steps a regular expression may take on one text.
_BACKTRACK_LIMIT = 200_000


class CompiledSchema:
    """A schema ready for validation; make it once for each version of a tool, share it freely."""

    def __init__(self, schema: Json) -> None:
        """Raises `ValueError` for a schema in which `check_schema` finds problems."""
        self.schema: Any = True if schema is None else schema
        self._references = References(self.schema)
        cost = evaluations(self._references)
        # Loosening a schema that was checked adds conditions to it, never more than these.
        if cost.count > 4 * MAX_EVALUATIONS or cost.chain > 2 * MAX_CHAIN:
            raise ValueError("the references of the schema multiply beyond bounds")
        self._validator = jsonschema_rs.Draft202012Validator(self.schema, **_options())
        self._explainer: Explainer | None = None

    def problems(self, value: Json) -> list[Problem]:
        """Every problem of a value, at most 50, in its order; empty when it is valid.

        `path` is a JSON pointer (`/1/id`), empty for the root, shown as `(root)`. Never raises:
        what cannot be validated (more than 255 levels deep, no JSON value) is a problem at the
        root. A lone surrogate counts as the replacement character, as it is sent.
        """
        if _is_deeper(value, MAX_VALUE_DEPTH):
            return [_TOO_DEEP]
        try:
            try:
                return self._problems(value)
            except UnicodeEncodeError:
                text = json.dumps(value, ensure_ascii=False)
                return self._problems(json.loads(text.encode(errors="replace")))
        except RecursionError:
            return [_TOO_DEEP]
        except (ValueError, TypeError) as error:
            if "ecursion" in str(error):
                return [_TOO_DEEP]
            return [Problem("", f"cannot be validated: {error}")]

    def _problems(self, value: Json) -> list[Problem]:
        if self._validator.is_valid(value):
            return []
        if self._explainer is None:
            self._explainer = Explainer(
                self._references, _validators(self.schema, self._references.is_compound)
            )
        return self._explainer.explain(value)[:MAX_PROBLEMS]


_TOO_DEEP = Problem("", f"nested too deeply to be validated; at most {MAX_VALUE_DEPTH} levels are")


def _is_deeper(value: Json, limit: int) -> bool:
    """Whether a value has more levels of lists and objects than `limit`.

    The validator recurses natively: without this bound a deep value ends the process.
    """
    level: list[Any] = [value] if isinstance(value, (dict, list)) else []
    depth = 0
    while level:
        depth += 1
        if depth > limit:
            return True
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)  # pyright: ignore[reportUnknownVariableType]: JSON
            if isinstance(child, (dict, list))
        ]
    return False


def compile_schema(schema: Json) -> CompiledSchema:
    """Compile a schema that `check_schema` found good; None stands for no schema.

    Raises `ValueError` for one that is not a schema.
    """
    return CompiledSchema(schema)


def _validators(schema: Any, is_compound: bool) -> ValidatorLookup:
    """The validators of the subschemas, by JSON pointer."""
    if not is_compound:
        return jsonschema_rs.validator_map_for(schema, **_options()).get
    # The map would take references below an inner `$id` for references to the root.
    registry = jsonschema_rs.Registry([(_ROOT, schema)])
    validators: dict[str, jsonschema_rs.Validator] = {}

    def look_up(pointer: str) -> jsonschema_rs.Validator:
        if pointer not in validators:
            validators[pointer] = jsonschema_rs.Draft202012Validator(
                {"$ref": _ROOT + quote(pointer, safe="#/~")}, registry=registry, **_options()
            )
        return validators[pointer]

    return look_up


_ROOT = "callslip:schema"


def _options() -> dict[str, Any]:
    return {
        "offline": True,
        "validate_formats": True,
        "pattern_options": jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACK_LIMIT),
    }
