"""Response filters: remove, mask or refuse what matches a pattern, in keys and in values.

One implementation for the result of a run and for the step data that is stored. The traversal is
in Python, so that integers beyond 2^53 survive; only texts (keys, and values as JavaScript's
`String(v)`) go to the JavaScript engine, each distinct one once.

  collect    every distinct key and value text of the data
  match      patterns against texts, in the engine
  locate     walk again, note at each place what a matching filter does to it
  rebuild    containers with a change in them, from the inside out; the others are kept as they are
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from tools.errors import ErrorKind, RunError
from tools.json_text import Json
from tools.scripts import js_text

__all__ = [
    "FilterMatch",
    "FilterOutcome",
    "FilterSpec",
    "PatternMatcher",
    "apply_response_filters",
]

Action = Literal["REMOVE", "MASK", "FAIL"]
Scope = Literal["FIELD", "ITEM", "ENTRY"]

#: Characters of text sent to the engine at once, so that a large answer does not fill its memory.
_MAX_BATCH_CHARS = 4_000_000
#: Places named in the message of a FAIL filter; the outcome's `matches` has all of them.
_MAX_NAMED_MATCHES = 50


class FilterSpec(Protocol):
    """A response filter as stored; `tools.model.ResponseFilter` is one."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def target(self) -> Literal["KEYS", "VALUES", "BOTH"]: ...
    @property
    def pattern(self) -> str: ...
    @property
    def action(self) -> Action: ...
    @property
    def mask_value(self) -> str: ...
    @property
    def scope(self) -> Scope: ...


class PatternMatcher(Protocol):
    """JavaScript regular expressions, bounded in time; `tools.scripts.ScriptEngine` is one."""

    async def match_patterns(
        self, patterns: Sequence[str], texts: Sequence[str]
    ) -> list[list[bool]]:
        """Per text, which of the patterns match it anywhere, ignoring case."""
        ...

    async def replace_matches(
        self, texts: Sequence[str], pattern: str, replacement: str
    ) -> list[str]:
        """Each text with every match replaced, as `String.prototype.replace` with flags `gi`."""
        ...


@dataclass(frozen=True)
class FilterMatch:
    """One place where a filter matched; `path` is like `rows[1].name`, `(root)` for the root."""

    filter_id: str
    name: str | None
    action: Action
    path: str
    matched_on: Literal["key", "value"]
    scope: Scope


@dataclass(frozen=True)
class FilterOutcome:
    """The filtered value; the very same object as the input when nothing changed."""

    value: Json
    matches: list[FilterMatch]
    changed: bool


async def apply_response_filters(
    data: Json,
    filters: Sequence[FilterSpec],
    matcher: PatternMatcher,
    *,
    fail_as_mask: bool = False,
) -> FilterOutcome:
    """Apply the enabled filters to `data`, which is not changed.

    With `fail_as_mask` a FAIL filter masks, which is what stored step data needs. Raises `RunError`
    of kind `response_filter` naming every place where a FAIL filter matched, and what the matcher
    raises (`script_limit` for a pattern that takes too long).
    """
    rules = [_Rule.of(spec, fail_as_mask) for spec in filters if spec.enabled]
    if not rules:
        return FilterOutcome(data, [], changed=False)

    key_rules = [rule for rule in rules if rule.on_keys]
    value_rules = [rule for rule in rules if rule.on_values]
    keys, values = _texts(data, keys=bool(key_rules), values=bool(value_rules))
    matched_keys = await _matching(key_rules, keys, matcher)
    matched_values = await _matching(value_rules, values, matcher)
    if not matched_keys and not matched_values:
        return FilterOutcome(data, [], changed=False)

    plan = _Plan(data, matched_keys, matched_values)
    plan.locate()
    failed = [match for match in plan.matches if match.action == "FAIL"]
    if failed:
        raise RunError(
            ErrorKind.RESPONSE_FILTER,
            "Output filter validation failed: " + _name_matches(failed),
            hint="A FAIL filter of the tool forbids this in its result.",
            path=failed[0].path,
        )
    value = plan.rebuild(await _masked_texts(plan.partial_masks(), matcher))
    return FilterOutcome(value, plan.matches, changed=value is not data)


@dataclass(frozen=True)
class _Rule:
    """An enabled filter, with the action it has here."""

    id: str
    name: str | None
    pattern: str
    action: Action
    mask: str
    scope: Scope
    on_keys: bool
    on_values: bool

    @classmethod
    def of(cls, spec: FilterSpec, fail_as_mask: bool) -> "_Rule":
        return cls(
            id=spec.id,
            name=spec.name,
            pattern=spec.pattern,
            action="MASK" if fail_as_mask and spec.action == "FAIL" else spec.action,
            mask=spec.mask_value,
            scope=spec.scope,
            on_keys=spec.target in ("KEYS", "BOTH"),
            on_values=spec.target in ("VALUES", "BOTH"),
        )


def _text_of(value: Json) -> str | None:
    """What a value filter sees of a value: `String(v)`; None for what never matches."""
    return js_text(value) if isinstance(value, (str, bool, int, float)) else None


def _children(container: dict[str, Any] | list[Any]) -> Iterable[tuple[str | int, Json]]:
    return container.items() if isinstance(container, dict) else enumerate(container)


def _texts(data: Json, *, keys: bool, values: bool) -> tuple[list[str], list[str]]:
    """The distinct keys and value texts of the data."""
    seen_keys: dict[str, None] = {}
    seen_values: dict[str, None] = {}
    pending: list[Json] = [data]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            members = cast(dict[str, Any], node)
            if keys:
                seen_keys.update(dict.fromkeys(members))
            pending.extend(members.values())
        elif isinstance(node, list):
            pending.extend(cast(list[Any], node))
        elif values and (text := _text_of(node)) is not None:
            seen_values[text] = None
    return list(seen_keys), list(seen_values)


async def _matching(
    rules: Sequence[_Rule], texts: Sequence[str], matcher: PatternMatcher
) -> dict[str, tuple[_Rule, ...]]:
    """The rules that match each text, in the order of the filters; texts without one are absent."""
    if not rules or not texts:
        return {}
    patterns = list(dict.fromkeys(rule.pattern for rule in rules))
    position = {pattern: index for index, pattern in enumerate(patterns)}
    found: dict[str, tuple[_Rule, ...]] = {}
    for batch in _batches(texts):
        rows = await matcher.match_patterns(patterns, batch)
        for text, row in zip(batch, rows, strict=True):
            matching = tuple(rule for rule in rules if row[position[rule.pattern]])
            if matching:
                found[text] = matching
    return found


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and size + len(text) > _MAX_BATCH_CHARS:
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


@dataclass(frozen=True)
class _PartialMask:
    """A text in which matches are masked, by these rules in this order."""

    text: str
    rules: tuple[_Rule, ...]


_REMOVED = object()

#: What happens to the value at a place: removed, replaced, masked in part, or rebuilt from within.
_Change = Any


@dataclass(eq=False, slots=True)
class _Frame:
    """A container on the walk, and the changes to its members."""

    container: dict[str, Any] | list[Any]
    parent: "_Frame | None" = None
    key: str | int = ""
    #: Where the nearest enclosing array element lies, and the element of the outermost array.
    item: "tuple[_Frame, int] | None" = None
    entry: "tuple[_Frame, int] | None" = None
    #: Made when there is a first one: most containers have none.
    changes: dict[str | int, _Change] | None = None

    def change(self, key: str | int, change: _Change) -> None:
        if self.changes is None:
            self.changes = {}
        self.changes[key] = change

    def change_of(self, key: str | int) -> _Change:
        """The change to a member, None for no change."""
        return None if self.changes is None else self.changes.get(key)

    def path_to(self, key: str | int) -> str:
        steps: list[str | int] = [key]
        frame = self
        while frame.parent is not None:
            steps.append(frame.key)
            frame = frame.parent
        text = ""
        for step in reversed(steps):
            text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
        return text


class _Plan:
    """The matches in the data and the change each one makes."""

    def __init__(
        self,
        data: Json,
        matched_keys: dict[str, tuple[_Rule, ...]],
        matched_values: dict[str, tuple[_Rule, ...]],
    ) -> None:
        self.matches: list[FilterMatch] = []
        self._data = data
        self._keys = matched_keys
        self._values = matched_values
        self._frames: list[_Frame] = []
        self._partial: dict[_PartialMask, None] = {}
        # The root is the one member of a holder, so that it can be changed as any other place.
        self._holder = _Frame({"": data})

    def locate(self) -> None:
        """Walk depth first in the order of the document and note every match and change."""
        data = self._data
        if not isinstance(data, (dict, list)):
            self._visit_value(self._holder, "", data, "(root)")
            return
        root = _Frame(cast("dict[str, Any] | list[Any]", data))
        self._frames.append(root)
        walks = [(root, iter(_children(root.container)))]
        while walks:
            frame, members = walks[-1]
            for key, value in members:
                if (
                    key not in self._keys
                    and not isinstance(value, (dict, list))
                    and (not self._values or value is None)
                ):
                    continue
                child = self._visit(frame, key, value)
                if child is not None:
                    walks.append((child, iter(_children(child.container))))
                    break
            else:
                walks.pop()

    def _visit(self, frame: _Frame, key: str | int, value: Json) -> _Frame | None:
        """Filter one member; its frame when it is a container to walk into."""
        if isinstance(key, str) and (rules := self._keys.get(key)):
            path = frame.path_to(key)
            for rule in rules:
                self._note(rule, path, "key")
                self._change(frame, key, rule)
            if any(rule.action == "REMOVE" for rule in rules):
                return None
        if isinstance(value, (dict, list)):
            here = (frame, key) if isinstance(key, int) else None
            child = _Frame(
                cast("dict[str, Any] | list[Any]", value),
                frame,
                key,
                item=here or frame.item,
                entry=frame.entry or here,
            )
            self._frames.append(child)
            return child
        self._visit_value(frame, key, value, None)
        return None

    def _visit_value(self, frame: _Frame, key: str | int, value: Json, path: str | None) -> None:
        text = _text_of(value)
        rules = self._values.get(text) if text is not None else None
        if text is None or not rules:
            return
        path = path or frame.path_to(key)
        for rule in rules:
            self._note(rule, path, "value")
        for rule in rules:
            if rule.action != "MASK" or rule.scope != "FIELD":
                self._change(frame, key, rule)
        masks = tuple(rule for rule in rules if rule.action == "MASK" and rule.scope == "FIELD")
        if not masks or frame.change_of(key) is not None:
            return
        if isinstance(key, int):
            masks = masks[:1]
        if not isinstance(value, str):
            frame.change(key, masks[-1].mask)
        else:
            partial = _PartialMask(text, masks)
            self._partial[partial] = None
            frame.change(key, partial)

    def _note(self, rule: _Rule, path: str, matched_on: Literal["key", "value"]) -> None:
        self.matches.append(
            FilterMatch(rule.id, rule.name, rule.action, path, matched_on, rule.scope)
        )

    def _change(self, frame: _Frame, key: str | int, rule: _Rule) -> None:
        """Remove or mask the whole of the place that the rule's scope means."""
        if rule.action == "FAIL":
            return
        if rule.scope == "FIELD":
            place = (frame, key)
        else:
            here = (frame, key) if isinstance(key, int) else None
            place = (here or frame.item) if rule.scope == "ITEM" else (frame.entry or here)
        frame, key = place or (self._holder, "")
        if rule.action == "REMOVE":
            frame.change(key, _REMOVED)
        elif frame.change_of(key) is not _REMOVED:
            frame.change(key, rule.mask)

    def partial_masks(self) -> list[_PartialMask]:
        """The texts in which only the matches are masked."""
        return list(self._partial)

    def rebuild(self, masked: dict[_PartialMask, str]) -> Json:
        """The data with every change made; containers without one are the original objects."""
        # A frame comes after its parent, so the reverse order is from the inside out.
        for frame in reversed(self._frames):
            if not frame.changes:
                continue
            rebuilt = _rebuilt(frame, masked)
            parent, key = (frame.parent, frame.key) if frame.parent else (self._holder, "")
            if parent.change_of(key) is None:
                parent.change(key, rebuilt)
        change = self._holder.change_of("")
        if change is None:
            return self._data
        if change is _REMOVED:
            return [] if isinstance(self._data, list) else {}
        return masked[change] if isinstance(change, _PartialMask) else change


def _rebuilt(frame: _Frame, masked: dict[_PartialMask, str]) -> Json:
    changes = frame.changes or {}

    def members() -> Iterator[tuple[str | int, Json]]:
        for key, value in _children(frame.container):
            change = changes.get(key)
            if change is None:
                yield key, value
            elif isinstance(change, _PartialMask):
                yield key, masked[change]
            elif change is not _REMOVED:
                yield key, change

    if isinstance(frame.container, list):
        return [value for _, value in members()]
    return dict(members())


async def _masked_texts(
    partial: Sequence[_PartialMask], matcher: PatternMatcher
) -> dict[_PartialMask, str]:
    """The masked form of each text: rule by rule, each on what the one before left."""
    current = {mask: mask.text for mask in partial}
    rules = {rule: None for mask in partial for rule in mask.rules}
    longest = max((len(mask.rules) for mask in partial), default=0)
    for position in range(longest):
        for rule in rules:
            due = [
                mask
                for mask in partial
                if position < len(mask.rules) and mask.rules[position] == rule
            ]
            if not due:
                continue
            if rule.pattern == "":
                # An empty match lies between all characters: masking there would hide nothing.
                current.update(dict.fromkeys(due, rule.mask))
                continue
            texts = list(dict.fromkeys(current[mask] for mask in due))
            replaced: dict[str, str] = {}
            for batch in _batches(texts):
                answers = await matcher.replace_matches(batch, rule.pattern, rule.mask)
                replaced.update(zip(batch, answers, strict=True))
            current.update({mask: replaced[current[mask]] for mask in due})
    return current


def _name_matches(matches: Sequence[FilterMatch]) -> str:
    named = [
        f'Filter "{match.name or match.filter_id}" matched at "{match.path}"'
        for match in matches[:_MAX_NAMED_MATCHES]
    ]
    if len(matches) > len(named):
        named.append(f"and at {len(matches) - len(named)} more places")
    return "; ".join(named)
