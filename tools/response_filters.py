"""Response filters: remove, mask or refuse what matches a pattern, in keys and in values.

One implementation for the result of a run and for the step data that is stored. The traversal is
in Python, so that integers beyond 2^53 survive; only texts (keys, and values as JavaScript's
`String(v)`) go to the JavaScript engine.

  match      every text of the data against the patterns, in batches; what matches is remembered
  rebuild    walk once, depth first: containers in which something changes are made anew beside
             the old ones, with the members that stay; the others are kept as they are

Both walks over large data are made in a thread, so that other runs go on.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol, TypeVar, cast

from tools.errors import ErrorKind, RunError
from tools.json_pieces import weighs_much
from tools.json_text import Json
from tools.scripts import js_text
from tools.threads import run_in_thread

__all__ = [
    "FilterOutcome",
    "FilterSpec",
    "PatternMatcher",
    "apply_response_filters",
]

Action = Literal["REMOVE", "MASK", "FAIL"]
Scope = Literal["FIELD", "ITEM", "ENTRY"]
T = TypeVar("T")

#: Data whose text has more bytes is walked in a thread; a walk takes some 0.1 µs a byte.
_LARGE_BYTES = 256 * 1024
#: Characters of text sent to the engine at once, and how many texts.
_MAX_BATCH_CHARS = 1_000_000
_MAX_BATCH_TEXTS = 50_000
#: Places named in the message of a FAIL filter.
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
class FilterOutcome:
    """The filtered value; the very same object as the input when nothing changed."""

    value: Json
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
    of kind `response_filter` naming the places where a FAIL filter matched (50 at most, and how
    many more there are), and what the matcher raises (`script_limit` for a pattern that takes too
    long).
    """
    rules = [_Rule.of(spec, fail_as_mask) for spec in filters if spec.enabled]
    if not rules:
        return FilterOutcome(data, changed=False)

    is_large = weighs_much(data, _LARGE_BYTES)
    keys = _Matched([rule for rule in rules if rule.on_keys], matcher)
    if keys.rules:
        await keys.look(_keys(data), is_large)
    values = _Matched([rule for rule in rules if rule.on_values], matcher)
    if values.rules:
        await values.look(_value_texts(data), is_large)
    if not keys.of_text and not values.of_text:
        return FilterOutcome(data, changed=False)
    await values.mask_texts()

    rebuild = _Rebuild(data, keys, values)
    value = await _walk(rebuild.run, is_large)
    if rebuild.failures:
        raise RunError(
            ErrorKind.RESPONSE_FILTER,
            "Output filter validation failed: " + rebuild.named_failures(),
            hint="A FAIL filter of the tool forbids this in its result.",
            path=rebuild.named[0][1],
        )
    return FilterOutcome(value, changed=value is not data)


async def _walk(work: Callable[[], T], is_large: bool) -> T:
    return await run_in_thread(work) if is_large else work()


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

    @property
    def masks_within(self) -> bool:
        """Whether of a text only the matches are masked."""
        return self.action == "MASK" and self.scope == "FIELD"


def _text_of(value: Json) -> str | None:
    """What a value filter sees of a value: `String(v)`; None for what never matches."""
    return js_text(value) if isinstance(value, (str, bool, int, float)) else None


def _keys(data: Json) -> Iterator[str]:
    """Every key of the data."""
    pending: list[Json] = [data]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            members = cast(dict[str, Any], node)
            yield from members
            pending.extend(members.values())
        elif isinstance(node, list):
            pending.extend(cast(list[Any], node))


def _value_texts(data: Json) -> Iterator[str]:
    """The texts of all values that a filter sees."""
    pending: list[Iterator[Json]] = [iter([data])]
    while pending:
        for node in pending[-1]:
            if isinstance(node, (dict, list)):
                members = cast("dict[str, Any] | list[Any]", node)
                pending.append(iter(members.values() if isinstance(members, dict) else members))
                break
            if (text := _text_of(node)) is not None:
                yield text
        else:
            pending.pop()


class _Matched:
    """The texts that rules match, and what becomes of the ones in which only matches are masked."""

    def __init__(self, rules: Sequence[_Rule], matcher: PatternMatcher) -> None:
        self.rules = rules
        self._matcher = matcher
        #: The rules that match each text, in the order of the filters; absent without one.
        self.of_text: dict[str, tuple[_Rule, ...]] = {}
        #: The rules of `of_text`, by which of the patterns match.
        self._together: dict[tuple[bool, ...], tuple[_Rule, ...]] = {}
        #: Texts after the first rule that masks within them, and after all, where there are more.
        self._masked_once: dict[str, str] = {}
        self._masked: dict[str, str] = {}

    async def look(self, texts: Iterator[str], is_large: bool) -> None:
        """Hold every text against the patterns."""
        patterns = list(dict.fromkeys(rule.pattern for rule in self.rules))
        position = {pattern: index for index, pattern in enumerate(patterns)}
        while batch := await _walk(partial(_next_batch, texts), is_large):
            rows = await self._matcher.match_patterns(patterns, batch)
            for text, row in zip(batch, rows, strict=True):
                if True not in row:
                    continue
                marks = tuple(row)
                if marks not in self._together:
                    self._together[marks] = tuple(
                        rule for rule in self.rules if row[position[rule.pattern]]
                    )
                self.of_text[text] = self._together[marks]

    async def mask_texts(self) -> None:
        """Make the masked form of texts, rule by rule, each on what the one before left."""
        for rules in self._together.values():
            within = [rule for rule in rules if rule.masks_within]
            if within:
                texts = iter([text for text, of_text in self.of_text.items() if of_text is rules])
                while batch := _next_batch(texts):
                    await self._mask_batch(batch, within)

    async def _mask_batch(self, batch: list[str], within: list[_Rule]) -> None:
        masked = await self._masked_by(within[0], batch)
        self._masked_once.update(zip(batch, masked, strict=True))
        for rule in within[1:]:
            masked = await self._masked_by(rule, masked)
        if len(within) > 1:
            self._masked.update(zip(batch, masked, strict=True))

    async def _masked_by(self, rule: _Rule, texts: Sequence[str]) -> Sequence[str]:
        if rule.pattern == "":
            # An empty match lies between all characters: masking there would hide nothing.
            return [rule.mask] * len(texts)
        return await self._matcher.replace_matches(texts, rule.pattern, rule.mask)

    def masked(self, text: str, *, in_list: bool) -> str:
        """A text with its matches masked; in a list by the first rule alone."""
        once = self._masked_once[text]
        return once if in_list else self._masked.get(text, once)


def _next_batch(texts: Iterator[str]) -> list[str]:
    """Some distinct ones of the next texts, empty after the last one."""
    batch: dict[str, None] = {}
    size = 0
    for text in texts:
        if text in batch:
            continue
        batch[text] = None
        size += len(text)
        if size >= _MAX_BATCH_CHARS or len(batch) >= _MAX_BATCH_TEXTS:
            break
    return list(batch)


_REMOVED = object()

#: What a member becomes: `_REMOVED`, or what takes its place; None for no change.
_Fate = Any


@dataclass(eq=False, slots=True)
class _Frame:
    """A container on the walk, and what it becomes."""

    container: dict[str, Any] | list[Any]
    members: Iterator[tuple[str | int, Json]]
    #: The nearest list that the members are within, and the outermost one: what is meant is the
    #: element of it that is looked at. None without a list.
    item: "_Frame | None" = None
    entry: "_Frame | None" = None
    #: The member that is looked at, and what becomes of it.
    key: str | int = ""
    fate: _Fate = None
    #: The members that stay, once one has changed.
    kept: dict[str, Any] | list[Any] | None = None

    @classmethod
    def within(cls, parent: "_Frame", container: dict[str, Any] | list[Any]) -> "_Frame":
        if isinstance(container, dict):
            return cls(container, iter(container.items()), parent.item, parent.entry)
        frame = cls(container, iter(enumerate(container)), None, parent.entry)
        frame.item = frame
        frame.entry = parent.entry or frame
        return frame

    def replace(self, text: str) -> None:
        """Let the member become a text, unless it is removed."""
        if self.fate is not _REMOVED:
            self.fate = text

    def settle(self, value: Json) -> None:
        """Go on behind the member, whose value this is."""
        fate, self.fate = self.fate, None
        if fate is not None and self.kept is None:
            self.kept = self._before()
        if self.kept is None or fate is _REMOVED:
            return
        stays = value if fate is None else fate
        if isinstance(self.kept, dict):
            self.kept[cast(str, self.key)] = stays
        else:
            self.kept.append(stays)

    def _before(self) -> dict[str, Any] | list[Any]:
        """The members before the one that is looked at."""
        if isinstance(self.container, list):
            return self.container[: cast(int, self.key)]
        before: dict[str, Any] = {}
        for key, value in self.container.items():
            if key == self.key:
                break
            before[key] = value
        return before


@dataclass(eq=False)
class _Rebuild:
    """One walk over the data: what it becomes, and where FAIL filters match."""

    data: Any
    keys: _Matched
    values: _Matched
    failures: int = 0
    #: The filter and the path of the first failures.
    named: list[tuple[_Rule, str]] = field(default_factory=list[tuple[_Rule, str]])

    def __post_init__(self) -> None:
        # The root is the one member of a holder, so that it can be changed as any other place.
        self._holder = _Frame({"": self.data}, iter(()))
        self._walked = [self._holder]

    def run(self) -> Json:
        """The data as it is after the filters; containers without a change are the same objects."""
        holder, data = self._holder, self.data
        if isinstance(data, (dict, list)):
            self._walked.append(_Frame.within(holder, cast("dict[str, Any] | list[Any]", data)))
            self._walk()
        else:
            self._see_value(holder, data)
        if holder.fate is None:
            return self.data
        if holder.fate is _REMOVED:
            return [] if isinstance(data, list) else {}
        return holder.fate

    def _walk(self) -> None:
        keys, has_values = self.keys.of_text, bool(self.values.of_text)
        walked = self._walked
        while len(walked) > 1:
            frame = walked[-1]
            for key, value in frame.members:
                is_container = isinstance(value, (dict, list))
                frame.key = key
                if is_container or key in keys or (has_values and value is not None):
                    child = self._see(frame, key, value)
                    if child is not None:
                        walked.append(child)
                        break
                    frame.settle(value)
                elif frame.kept is not None:
                    frame.settle(value)
            else:
                self._leave(walked.pop(), walked[-1])

    def _leave(self, frame: _Frame, parent: _Frame) -> None:
        if parent.fate is None:
            parent.fate = frame.kept
        if parent is not self._holder:
            parent.settle(frame.container)

    def _see(self, frame: _Frame, key: str | int, value: Json) -> _Frame | None:
        """Filter one member; its frame when it is a container to walk into."""
        if isinstance(key, str) and (rules := self.keys.of_text.get(key)):
            for rule in rules:
                self._apply(frame, rule)
            if any(rule.action == "REMOVE" for rule in rules):
                return None
        if isinstance(value, (dict, list)):
            return _Frame.within(frame, cast("dict[str, Any] | list[Any]", value))
        self._see_value(frame, value)
        return None

    def _see_value(self, frame: _Frame, value: Json) -> None:
        text = _text_of(value)
        rules = self.values.of_text.get(text) if text is not None else None
        if text is None or not rules:
            return
        within: _Rule | None = None
        for rule in rules:
            if rule.masks_within:
                within = rule
            else:
                self._apply(frame, rule)
        if within is None or frame.fate is not None:
            return
        in_list = isinstance(frame.container, list)
        if isinstance(value, str):
            frame.fate = self.values.masked(text, in_list=in_list)
        else:
            first = next(rule for rule in rules if rule.masks_within)
            frame.fate = first.mask if in_list else within.mask

    def _apply(self, frame: _Frame, rule: _Rule) -> None:
        """Remove, mask or refuse the whole of the place that the rule's scope means."""
        if rule.action == "FAIL":
            self.failures += 1
            if len(self.named) < _MAX_NAMED_MATCHES:
                self.named.append((rule, self._path()))
            return
        place = frame
        if rule.scope != "FIELD":
            place = (frame.item if rule.scope == "ITEM" else frame.entry) or self._holder
        if rule.action == "REMOVE":
            place.fate = _REMOVED
        else:
            place.replace(rule.mask)

    def _path(self) -> str:
        """The place that is looked at, such as `rows[1].name`; `(root)` for the root."""
        if len(self._walked) == 1:
            return "(root)"
        text = ""
        for frame in self._walked[1:]:
            key = frame.key
            text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
        return text

    def named_failures(self) -> str:
        named = [
            f'Filter "{rule.name or rule.id}" matched at "{path}"' for rule, path in self.named
        ]
        if self.failures > len(named):
            named.append(f"and at {self.failures - len(named)} more places")
        return "; ".join(named)
