"""What differs between two JSON values, as a bounded list of changes.

Objects are compared by key. Lists are compared by position, unless all elements on both sides are
objects that a field of theirs tells apart (`id`, …): those are compared by that field, so that one
new row at the front is one change. Numbers are equal when their values are, whatever their form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeGuard

from tools.abridging import abridged, abridged_text
from tools.json_text import Json, JsonObject
from tools.path_text import name_segment, quoted

__all__ = ["MISSING", "Change", "Difference", "json_diff"]

#: Fields that tell the elements of a list apart, the likeliest first.
_ID_FIELDS = ("id", "_id", "uuid", "key", "code", "slug", "name")
_MOST_CHANGES = 50
#: Pairs of values that are looked at; a second or two.
_MOST_PAIRS = 2_000_000
_MAX_PATH_CHARACTERS = 400

_NESTED = (dict, list)
#: `true` is not 1, and containers are taken apart.
_BY_IDENTITY = (bool, *_NESTED)

ChangeKind = Literal["added", "removed", "changed", "reordered"]


class _Missing:
    """Stands for a side that has no value; JSON has null for a value that is nothing."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


#: A key, a position, or the field that tells elements apart with its value.
_Segment = str | int | tuple[str, str | int]


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in a value: the way from the root, back to front, written out only when needed."""

    above: "_Place | None"
    segment: _Segment

    def steps(self) -> list[_Segment]:
        found: list[_Segment] = []
        place: _Place | None = self
        while place is not None:
            found.append(place.segment)
            place = place.above
        return found[::-1]


@dataclass(frozen=True)
class Change:
    """One difference. `path` is JSONPath (RFC 9535) and finds the value on the sides that have it.

    `reordered` is a list whose common elements stand in another order: before and after are their
    ids. The values are those compared, whole.
    """

    path: str
    kind: ChangeKind
    before: Json = MISSING
    after: Json = MISSING
    #: Where an element that was added to a list stands in it now.
    position: int | None = None

    def wire(self, value_characters: int) -> JsonObject:
        """`{path, change, before?, after?}`, long values shortened."""
        fields: JsonObject = {
            "path": abridged_text(self.path, _MAX_PATH_CHARACTERS),
            "change": self.kind,
        }
        if self.before is not MISSING:
            fields["before"] = abridged(self.before, value_characters)
        if self.after is not MISSING:
            fields["after"] = abridged(self.after, value_characters)
        return fields


@dataclass(frozen=True)
class Difference:
    """The first changes in the order of the values, and how many there are."""

    changes: tuple[Change, ...]
    total: int
    #: There are more changes than these, or the values are too large to be compared to their end.
    truncated: bool

    def __bool__(self) -> bool:
        return self.total > 0 or self.truncated

    def wire(self, *, value_characters: int = 160) -> JsonObject:
        """`{changes, total, truncated}`."""
        return {
            "changes": [change.wire(value_characters) for change in self.changes],
            "total": self.total,
            "truncated": self.truncated,
        }


def json_diff(
    before: Json, after: Json, *, most_changes: int = _MOST_CHANGES, by_id: bool = True
) -> Difference:
    """What differs, at most `most_changes` of it; time grows with the size of the values.

    Without `by_id` every list is compared by position.
    """
    comparison = _Comparison(most_changes, _ID_FIELDS if by_id else ())
    comparison.run(before, after)
    return Difference(
        tuple(comparison.changes),
        comparison.total,
        comparison.total > most_changes or comparison.is_cut_off,
    )


#: A segment below a place, its two values, and where an added element stands.
_Row = tuple[_Segment, Json, Json, int | None]


class _Comparison:
    """A comparison under way. Iterative: values may nest deeper than Python calls do."""

    def __init__(self, most_changes: int, id_fields: Sequence[str]) -> None:
        self.changes: list[Change] = []
        self.total = 0
        self.is_cut_off = False
        self._most_changes = most_changes
        self._id_fields = id_fields
        self._pairs = 0
        self._pending: list[tuple[_Place | None, Json, Json, int | None]] = []

    def run(self, before: Json, after: Json) -> None:
        self._pending.append((None, before, after, None))
        while self._pending:
            self._compare(*self._pending.pop())

    def _compare(
        self,
        place: _Place | None,
        before: Json,
        after: Json,
        position: int | None,
    ) -> None:
        if before is MISSING:
            self._add(place, "added", after=after, position=position)
        elif after is MISSING:
            self._add(place, "removed", before=before)
        elif self._pairs > _MOST_PAIRS and type(before) is type(after) and type(before) in _NESTED:
            self.is_cut_off = True
        elif _is_object(before) and _is_object(after):
            self._pair_objects(place, before, after)
        elif _is_list(before) and _is_list(after):
            self._pair_lists(place, before, after)
        elif not _are_equal(before, after):
            self._add(place, "changed", before=before, after=after)

    def _add(
        self,
        place: _Place | None,
        kind: ChangeKind,
        *,
        before: Json = MISSING,
        after: Json = MISSING,
        position: int | None = None,
    ) -> None:
        self.total += 1
        if len(self.changes) < self._most_changes:
            self.changes.append(Change(_path(place), kind, before, after, position))

    def _pair_objects(self, place: _Place | None, before: JsonObject, after: JsonObject) -> None:
        rows: list[_Row] = [
            (name, value, after.get(name, MISSING), None) for name, value in before.items()
        ]
        rows += [
            (name, MISSING, value, None) for name, value in after.items() if name not in before
        ]
        self._push(place, rows)

    def _pair_lists(self, place: _Place | None, before: list[Json], after: list[Json]) -> None:
        for field in self._id_fields:
            old = _by_id(before, field)
            new = _by_id(after, field) if old else None
            if old and new:
                self._pair_by_id(place, field, old, new)
                return
        shorter = min(len(before), len(after))
        rows: list[_Row] = [(index, before[index], after[index], None) for index in range(shorter)]
        rows += [(index, before[index], MISSING, None) for index in range(shorter, len(before))]
        rows += [(index, MISSING, after[index], index) for index in range(shorter, len(after))]
        self._push(place, rows)

    def _pair_by_id(
        self,
        place: _Place | None,
        field: str,
        before: Mapping[str | int, Json],
        after: Mapping[str | int, Json],
    ) -> None:
        order_before = [one for one in before if one in after]
        order_after = [one for one in after if one in before]
        if order_before != order_after:
            self._add(place, "reordered", before=order_before, after=order_after)
        rows: list[_Row] = [
            ((field, one), value, after.get(one, MISSING), None) for one, value in before.items()
        ]
        rows += [
            ((field, one), MISSING, value, position)
            for position, (one, value) in enumerate(after.items())
            if one not in before
        ]
        self._push(place, rows)

    def _push(self, place: _Place | None, rows: list[_Row]) -> None:
        self._pairs += len(rows)
        # The last one in is the first one out.
        for segment, before, after, position in reversed(rows):
            if not _are_equal(before, after):
                self._pending.append((_Place(place, segment), before, after, position))


def _by_id(elements: list[Json], field: str) -> Mapping[str | int, Json] | None:
    """The elements by a field, when it is there in all of them and tells them apart."""
    found: dict[str | int, Json] = {}
    for element in elements:
        value: Json = element.get(field) if _is_object(element) else None
        if not isinstance(value, str | int) or isinstance(value, bool) or value in found:
            return None
        found[value] = element
    return found


def _is_object(value: Json) -> TypeGuard[JsonObject]:
    return isinstance(value, dict)


def _is_list(value: Json) -> TypeGuard[list[Json]]:
    return isinstance(value, list)


def _are_equal(before: Json, after: Json) -> bool:
    """Whether two values are surely the same; containers are taken apart to know."""
    if before is after:
        return True
    if type(before) in _BY_IDENTITY or type(after) in _BY_IDENTITY:
        return False
    return before == after


def _path(place: _Place | None) -> str:
    return "$" + "".join(map(_segment, place.steps() if place is not None else ()))


def _segment(step: _Segment) -> str:
    match step:
        case int():
            return f"[{step}]"
        case str():
            return name_segment(step)
        case (field, value):
            literal = quoted(value) if isinstance(value, str) else str(value)
            return f"[?@.{field}=={literal}]"
