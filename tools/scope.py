"""The names a template sees, and what they stand for.

Later wins: inputs, earlier steps, `currentItem`, credentials; inside a paginated step the page
variables win over all.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

from tools.carriers import NOTHING_CARRIED, Carriers, TakenCredential, shown_in
from tools.json_text import Json, JsonObject
from tools.scripts import ScriptValue, js_text
from tools.system import System, auth_credential_names

__all__ = [
    "MISSING",
    "Credentials",
    "Scope",
    "read_dotted_path",
    "short_credentials",
    "visible_credentials",
    "with_run_time_credentials",
]


class Missing:
    """The value of a name that is not there; null is there."""


MISSING = Missing()

_SEGMENT = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_MOST_DIGITS = 10
_PATH = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[\d+\])*")


def _is_index(text: str) -> bool:
    # No list is so long, and Python refuses to read numbers of thousands of digits.
    return text.isdecimal() and len(text) < _MOST_DIGITS


def read_dotted_path(value: Json, path: str) -> Json | Missing:
    """Read `a.b`, `a.0.b`, `a[0].b` or `$.a` (own keys and list positions), or `MISSING`."""
    path = path.removeprefix("$.")
    if not _PATH.fullmatch(path):
        return MISSING
    for key, position in _SEGMENT.findall(path):
        if isinstance(value, dict) and key in cast("JsonObject", value):
            value = cast("JsonObject", value)[key]
        elif isinstance(value, list) and _is_index(key or position):
            elements, index = cast("list[Any]", value), int(key or position)
            if index >= len(elements):
                return MISSING
            value = elements[index]
        else:
            return MISSING
    return value


def _is_word_of(name: str, code: str) -> bool:
    return name in code and bool(re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", code))


@dataclass(frozen=True)
class Credentials:
    """What a step can see of credentials: `flat` under their own names, `named` as an object."""

    flat: Mapping[str, str] = field(default_factory=dict[str, str])
    named: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Base addresses of systems, `<systemId>_url`: not secret.
    urls: Mapping[str, str] = field(default_factory=dict[str, str])
    #: What each secret is called in messages: `<system>.<name>` or `run.<name>`, by flat name.
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    #: The same by the name it has in `named`.
    named_labels: Mapping[str, str] = field(default_factory=dict[str, str])
    #: The systems that they belong to, by label.
    owners: Mapping[str, System] = field(default_factory=dict[str, System])

    @cached_property
    def carriers(self) -> Carriers:
        """The names under which short ones stand, `credentials` for all of `named`."""
        taken = {name: self._taken(name) for name in self.flat}
        carriers = {name: frozenset({one}) for name, one in taken.items() if one.is_short}
        named = frozenset(one for one in map(self._taken_named, self.named) if one.is_short)
        return {**carriers, "credentials": named} if named else carriers

    def taken_by(self, expression: str, *, is_function: bool = False) -> set[TakenCredential]:
        """The credentials that an expression stands for; of a function, the short ones it names."""
        if not self.flat:
            return set()
        if expression in self.flat:
            return {self._taken(expression)}
        if is_function:
            return self._mentioned_in(expression)
        head, _, rest = expression.removeprefix("$.").partition(".")
        if head in self.flat:
            return {self._taken(head)}
        if head != "credentials":
            return set()
        name = rest.partition(".")[0]
        names = [name] if name in self.named else list(self.named)
        return {self._taken_named(one) for one in names}

    def _mentioned_in(self, code: str) -> set[TakenCredential]:
        # Long values are found in whatever the function gives; what becomes of a short one is not.
        taken = {self._taken(name) for name in self.flat if _is_word_of(name, code)}
        if "credentials" in code:
            named = [name for name in self.named if _is_word_of(name, code)]
            taken |= {self._taken_named(name) for name in named or self.named}
        return {one for one in taken if one.is_short}

    def _taken(self, name: str) -> TakenCredential:
        label = self.labels.get(name, name)
        return TakenCredential(label, self.flat[name], self.owners.get(label))

    def _taken_named(self, name: str) -> TakenCredential:
        label = self.named_labels.get(name, name)
        return TakenCredential(label, self.named[name], self.owners.get(label))


@dataclass(frozen=True)
class Scope:
    """The names of one evaluation.

    `state` holds inputs and steps; scripts that must not see credentials get `state` alone.
    """

    state: JsonObject
    credentials: Credentials = field(default_factory=Credentials)
    page_variables: JsonObject = field(default_factory=dict[str, Json])
    #: Names of `state` that hold short credentials.
    state_carriers: Carriers = field(default_factory=dict[str, frozenset[TakenCredential]])
    #: Names of `page_variables` that do.
    page_carriers: Carriers = field(default_factory=dict[str, frozenset[TakenCredential]])

    def with_page(self, page_variables: JsonObject, page_carriers: Carriers) -> "Scope":
        return replace(self, page_variables=page_variables, page_carriers=page_carriers)

    @cached_property
    def carriers(self) -> Carriers:
        """All names that hold short credentials."""
        below = {**self.state_carriers, **self.credentials.carriers}
        shown = {name: held for name, held in below.items() if name not in self.page_variables}
        return {**shown, **self.page_carriers}

    def carried_by(self, value: ScriptValue) -> frozenset[TakenCredential]:
        """The short credentials in what a script made of `values`, the `carriers` watched."""
        return self._shown_in(value.text, value.names_read) if value.names_read else NOTHING_CARRIED

    def carried_under(self, name: str, value: Json) -> frozenset[TakenCredential]:
        """The short credentials in what `lookup` gave for a name."""
        if not self.carriers:
            return NOTHING_CARRIED
        head = re.split(r"[.\[]", name.removeprefix("$."), maxsplit=1)[0]
        return self._shown_in(js_text(value), {name, head})

    def _shown_in(self, text: str, names: Iterable[str]) -> frozenset[TakenCredential]:
        held = (self.carriers.get(name, NOTHING_CARRIED) for name in names)
        return shown_in(text, NOTHING_CARRIED.union(*held))

    def values(self) -> JsonObject:
        """All names with their values, as the argument of a function."""
        values = {**self.state, **self.credentials.urls, **self.credentials.flat}
        if self.credentials.named:
            values["credentials"] = dict(self.credentials.named)
        return {**values, **self.page_variables}

    def lookup(self, name: str) -> Json | Missing:
        """The value of a name, or of a dotted path that starts with one, or `MISSING`."""
        value = self._own(name)
        if not isinstance(value, Missing):
            return value
        if name.startswith("$."):
            return read_dotted_path(self.values(), name)
        head = re.match(r"[^.\[]+", name)
        if head is None or head[0] == name:
            return MISSING
        value = self._own(head[0])
        rest = name[head.end() :].removeprefix(".")
        if isinstance(value, Missing):
            return MISSING
        # A leading list position has no name before it: read it from a one-key object.
        if rest.startswith("["):
            return read_dotted_path({"value": value}, "value" + rest)
        return read_dotted_path(value, rest)

    def names(self) -> list[str]:
        """The known names, for messages."""
        return sorted(self.values())

    def is_credential(self, name: str) -> bool:
        """Whether a name stands for a credential or a system's address."""
        return (
            name in self.credentials.flat
            or name in self.credentials.urls
            or name.startswith("credentials.")
        )

    def _own(self, name: str) -> Json | Missing:
        layers: Iterable[Mapping[str, Json]] = (
            self.page_variables,
            self.credentials.flat,
            self.credentials.urls,
        )
        for layer in layers:
            if name in layer:
                return layer[name]
        if name == "credentials" and self.credentials.named:
            return dict(self.credentials.named)
        return self.state.get(name, MISSING)


def with_run_time_credentials(system: System, run_time: Mapping[str, str]) -> System:
    """The system as a run signs in to it: run-time credentials take the place of stored ones."""
    own = {
        name: run_time[name]
        for name in {*system.credentials, *auth_credential_names(system.auth, optional=True)}
        if name in run_time
    }
    own |= _prefixed(run_time, f"{system.id}_")
    if not own:
        return system
    return system.model_copy(update={"credentials": {**system.credentials, **own}})


def _prefixed(run_time: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The run-time credentials of one system alone, without its prefix."""
    return {
        name.removeprefix(prefix): value
        for name, value in run_time.items()
        if name.startswith(prefix) and name != f"{prefix}url"
    }


def visible_credentials(
    systems: Mapping[str, System], run_time: Mapping[str, str], system_id: str | None
) -> Credentials:
    """The credentials a step sees; `system_id` is the step's system.

    A step with a system sees that system's only. Run-time credentials override stored ones: `token`
    that of the step's system under every spelling, `acme_token` that of `acme` alone.
    """
    flat: dict[str, str] = {}
    named: dict[str, str] = {}
    urls: dict[str, str] = {}
    labels: dict[str, str] = {}
    named_labels: dict[str, str] = {}
    owners: dict[str, System] = {}
    for system in systems.values():
        if system_id is not None and system.id != system_id:
            continue
        prefix = f"{system.id}_"
        stored = dict(system.credentials)
        if system.id == system_id:
            stored.update({name: run_time[name] for name in stored if name in run_time})
        stored.update(_prefixed(run_time, prefix))
        urls[f"{prefix}url"] = system.url
        for name, value in stored.items():
            own = name if system.id == system_id else prefix + name
            flat[prefix + name] = named[own] = value
            labels[prefix + name] = named_labels[own] = label = f"{system.id}.{name}"
            owners[label] = system
    hidden = tuple(f"{other}_" for other in systems if system_id is not None and other != system_id)
    for name, value in run_time.items():
        if not (hidden and name.startswith(hidden)):
            flat[name] = named[name] = value
            labels[name] = named_labels[name] = f"run.{name}"
    return Credentials(flat, named, urls, labels, named_labels, owners)


def short_credentials(
    systems: Mapping[str, System], run_time: Mapping[str, str]
) -> frozenset[TakenCredential]:
    """The credentials of these systems, and of a run, that are not known by their values."""
    visible = visible_credentials(systems, run_time, None)
    return NOTHING_CARRIED.union(*visible.carriers.values())
