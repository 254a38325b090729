"""An index over the words of stored tools: name, title, folder, inputs, instruction.

Built when somebody first searches, and again when tools have changed; the words of a tool that has
not changed are kept.
"""

import math
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, cast

from server.catalog import CatalogEntry
from tools.json_text import Json, JsonObject

__all__ = ["ToolIndex"]

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# A match in the name says more than one in the prose.
_NAME, _TITLE, _FOLDER, _INPUT, _PROSE = 5.0, 3.0, 2.0, 1.5, 1.0
#: A word that only begins like the one searched for.
_PREFIX_PART = 0.5
_SHORTEST_PREFIX = 3
_MOST_PREFIXED = 50
_SCHEMA_DEPTH = 4


class ToolIndex:
    """Which tools hold which words, and how much that says."""

    def __init__(self) -> None:
        self._weights: dict[int, dict[str, float]] = {}
        self._postings: dict[str, dict[str, float]] = {}
        self._words: list[str] = []
        self._count = 0

    def update(self, entries: Mapping[str, CatalogEntry]) -> None:
        """Index these tools, by published name, in place of those before."""
        weights: dict[int, dict[str, float]] = {}
        postings: dict[str, dict[str, float]] = defaultdict(dict)
        for name, entry in entries.items():
            snapshot_id = entry.stored.snapshot_id
            words = self._weights.get(snapshot_id)
            if words is None:
                words = _words_of(entry.stored.definition)
            weights[snapshot_id] = words
            for word, weight in words.items():
                postings[word][name] = weight
        self._weights, self._postings = weights, dict(postings)
        self._words = sorted(postings)
        self._count = len(entries)

    def search(self, query: str) -> list[str]:
        """Names of the tools that match, best first. More rare words of the query say more."""
        scores: dict[str, float] = defaultdict(float)
        for word in set(_split(query)):
            for name, weight in self._matches(word).items():
                scores[name] += weight
        return sorted(scores, key=lambda name: (-scores[name], name))

    def _matches(self, word: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for known, part in self._known_words(word):
            posting = self._postings[known]
            rarity = 1 + math.log(self._count / len(posting))
            for name, weight in posting.items():
                found[name] = max(found.get(name, 0.0), weight * rarity * part)
        return found

    def _known_words(self, word: str) -> Iterator[tuple[str, float]]:
        if word in self._postings:
            yield word, 1.0
        if len(word) < _SHORTEST_PREFIX:
            return
        start = bisect_left(self._words, word)
        for known in self._words[start : start + _MOST_PREFIXED]:
            if not known.startswith(word):
                return
            if known != word:
                yield known, _PREFIX_PART


def _words_of(definition: JsonObject) -> dict[str, float]:
    weights: dict[str, float] = {}
    for text, weight in _texts_of(definition):
        for word in _split(text):
            weights[word] = max(weights.get(word, 0.0), weight)
    return weights


def _texts_of(definition: JsonObject) -> Iterator[tuple[str, float]]:
    """A stored definition may be anything; what is no text has no words."""
    yield str(definition.get("id", "")), _NAME
    yield str(definition.get("name") or ""), _TITLE
    yield str(definition.get("folder") or ""), _FOLDER
    yield str(definition.get("instruction") or ""), _PROSE
    yield from _texts_of_schema(definition.get("inputSchema"), _SCHEMA_DEPTH)


def _texts_of_schema(schema: Json, depth: int) -> Iterator[tuple[str, float]]:
    if not isinstance(schema, dict) or depth == 0:
        return
    fields = cast("JsonObject", schema)
    if isinstance(description := fields.get("description"), str):
        yield description, _PROSE
    properties: Any = fields.get("properties")
    if isinstance(properties, dict):
        for name, inner in cast("JsonObject", properties).items():
            yield name, _INPUT
            yield from _texts_of_schema(inner, depth - 1)
    yield from _texts_of_schema(fields.get("items"), depth - 1)


def _split(text: str) -> Iterator[str]:
    """Words in lower case; `listOpenIssues` is three. A plural counts as its singular."""
    for run in _WORD.findall(text):
        parts = _CAMEL.split(run)
        for part in parts if len(parts) == 1 else [run, *parts]:
            yield _singular(part.lower())


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
