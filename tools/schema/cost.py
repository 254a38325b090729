"""How often a validator may look at one value, in the worst case."""

from dataclasses import dataclass
from typing import Any, cast

from tools.json_text import Json
from tools.schema.keywords import IN_PLACE, Location
from tools.schema.references import References

__all__ = ["Cost", "evaluations"]

#: What is evaluated with a schema: the member it applies to, None for in place; where; what.
_Edge = tuple[str | int | None, Location, Json]


@dataclass(frozen=True)
class Cost:
    """What one value may cost the validator."""

    #: Evaluations along one path through the value: subschemas applied in place add up.
    count: int
    #: Subschemas inside each other that apply in place: the depth of the validator's recursion.
    chain: int


def evaluations(references: References) -> Cost:
    """The worst case for a schema.

    Recursion counts once, because the validator remembers what it has seen of a recursive schema.
    """
    done: dict[Location, Cost] = {}
    open_now: set[Location] = set()
    # The edges of a schema that is left were found when it was entered.
    stack: list[tuple[Location, Json, list[_Edge] | None]] = [((), references.root, None)]
    while stack:
        location, schema, edges = stack.pop()
        if location in done:
            continue
        if edges is None:
            edges = _edges(schema, location, references)
            open_now.add(location)
            stack.append((location, schema, edges))
            stack += [
                (at, child, None) for _, at, child in edges if at not in done and at not in open_now
            ]
            continue
        open_now.discard(location)
        in_place = 0
        chain = 0
        slots: dict[str | int, int] = {}
        everywhere = 0
        for slot, at, _ in edges:
            known = done.get(at, _ONE)
            cost = known.count
            if slot is None:
                in_place += cost
                chain = max(chain, known.chain)
            elif slot == "*":
                everywhere += cost
            else:
                slots[slot] = slots.get(slot, 0) + cost
        total = 1 + in_place + everywhere + max(slots.values(), default=0)
        done[location] = Cost(min(total, _ENOUGH), chain + 1)
    return done[()]


_ENOUGH = 10**12
_ONE = Cost(1, 1)


def _edges(schema: Json, location: Location, references: References) -> list[_Edge]:
    """All that is evaluated with a schema."""
    if not isinstance(schema, dict):
        return []
    members = cast(dict[str, Any], schema)
    edges: list[_Edge] = []
    for keyword in ("$ref", "$dynamicRef"):
        if isinstance(reference := members.get(keyword), str):
            target = references.resolve(reference, location)
            if target is not None:
                edges.append((None, target[1], target[0]))
    for step, at, child in references.children(schema, location):
        keyword = step[0]
        if keyword in ("$defs", "definitions", "contentSchema"):
            continue
        if keyword in IN_PLACE:
            slot = None
        elif keyword in ("properties", "prefixItems"):
            slot = step[1]
        else:
            slot = "*"
        edges.append((slot, at, child))
    return edges
