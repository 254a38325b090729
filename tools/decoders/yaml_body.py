"""YAML as JSON values, by the core schema of YAML 1.2: `no` and dates stay text."""

import base64
import math
import re
from collections.abc import Iterator
from typing import Any, ClassVar, cast

from tools.decoders.result import Decoded, DecodeLimits, undecodable
from tools.decoders.text import Text
from tools.errors import ErrorKind, RunError
from tools.json_text import Json

__all__ = ["decode_yaml", "take_yaml"]

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")


def decode_yaml(text: str, label: str, limits: DecodeLimits) -> Decoded:
    """The document as a JSON value; several documents are a list.

    Only plain data is built (safe loader). Raises `RunError`: decode where it is not YAML,
    size_limit where it is too large, too deep, or its aliases write out to too much.
    """
    import yaml

    if len(text.encode(errors="replace")) > limits.max_yaml_bytes:
        raise _too_large(limits)
    loader = _loader_class()
    warnings: list[str] = []
    try:
        _check_bounds(_events(text, loader), limits)
        documents = [
            _to_json(document, warnings) for document in yaml.load_all(text, Loader=loader)
        ]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1} column {mark.column + 1}" if mark else ""
        near = text.splitlines()[mark.line : mark.line + 1] if mark else []
        raise undecodable(
            label, "YAML", f"{error.problem or error.context}{where}", "".join(near)
        ) from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise undecodable(label, "YAML", str(error), text[:200]) from None
    value = documents[0] if len(documents) == 1 else documents or None
    return Decoded(value, tuple(dict.fromkeys(warnings)))


def take_yaml(text: Text, limits: DecodeLimits) -> str:
    """A text to be read as YAML. Raises `RunError` (size_limit) as soon as it is too large."""
    taken = bytearray()
    for piece in text.take():
        taken += piece
        if len(taken) > limits.max_yaml_bytes:
            raise _too_large(limits)
    return taken.decode()


def _too_large(limits: DecodeLimits) -> RunError:
    return RunError(ErrorKind.SIZE_LIMIT, f"The YAML is larger than {limits.max_yaml_bytes} bytes.")


def _events(text: str, loader: Any) -> Iterator[Any]:
    import yaml

    library: Any = yaml  # its stub leaves the types of `parse` open
    return library.parse(text, Loader=loader)


def _loader_class() -> Any:
    """A safe loader with the scalars of YAML 1.2, on libyaml where PyYAML was built with it."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class CoreLoader(base):
        """Safe loader, YAML 1.2 core schema."""

        yaml_implicit_resolvers: ClassVar[Any] = {}
        yaml_constructors: ClassVar[Any] = dict(base.yaml_constructors)

    core: Any = CoreLoader
    tag = "tag:yaml.org,2002:"
    core.add_implicit_resolver(
        f"{tag}bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
    )
    core.add_implicit_resolver(
        f"{tag}null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
    )
    core.add_implicit_resolver(
        f"{tag}int", re.compile(rf"^(?:{_INT.pattern})$"), list("-+0123456789")
    )
    core.add_implicit_resolver(
        f"{tag}float",
        re.compile(
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        list("-+.0123456789"),
    )
    core.add_implicit_resolver(f"{tag}merge", re.compile(r"^(?:<<)$"), ["<"])
    core.add_constructor(f"{tag}int", _construct_int)
    # A document may tag a scalar as a date; it is text all the same.
    core.add_constructor(f"{tag}timestamp", _construct_text)
    return core


def _construct_int(loader: Any, node: Any) -> int:
    text: str = loader.construct_scalar(node)
    if not _INT.fullmatch(text):
        raise ValueError(f"{text!r} is not an integer")
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _construct_text(loader: Any, node: Any) -> str:
    return loader.construct_scalar(node)


def _check_bounds(events: Iterator[Any], limits: DecodeLimits) -> None:
    """Refuses what is too deep, refers to itself, or is too large with aliases written out."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0

    def add(size: int, anchor: str | None) -> None:
        nonlocal total
        if anchor is not None:
            sizes[anchor] = size
        if open_nodes:
            name, so_far = open_nodes[-1]
            open_nodes[-1] = (name, so_far + size)
            total = max(total, so_far + size)
        if total > limits.max_yaml_nodes:
            raise RunError(
                ErrorKind.SIZE_LIMIT,
                f"The YAML has more than {limits.max_yaml_nodes} nodes with its aliases.",
            )

    for event in events:
        kind = type(event).__name__
        if kind in ("MappingStartEvent", "SequenceStartEvent"):
            if len(open_nodes) >= limits.max_depth:
                raise RunError(
                    ErrorKind.SIZE_LIMIT,
                    f"The YAML is nested more than {limits.max_depth} levels deep.",
                )
            if event.anchor is not None:
                sizes.pop(event.anchor, None)
            open_nodes.append((event.anchor, 1))
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            anchor, size = open_nodes.pop()
            add(size, anchor)
        elif kind == "ScalarEvent":
            add(1, event.anchor)
        elif kind == "AliasEvent":
            if event.anchor not in sizes and any(name == event.anchor for name, _ in open_nodes):
                raise ValueError(f"the alias *{event.anchor} stands inside what it refers to")
            add(sizes.get(event.anchor, 1), None)
        elif kind == "DocumentStartEvent":
            sizes.clear()


def _to_json(value: Any, warnings: list[str]) -> Json:
    if isinstance(value, dict):
        members = cast(dict[Any, Any], value)
        return {_key_text(key): _to_json(item, warnings) for key, item in members.items()}
    if isinstance(value, (list, tuple, set)):
        return [_to_json(item, warnings) for item in cast(list[Any], value)]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        warnings.append(f"{value} in the YAML is no JSON number and became null.")
        return None
    return value


def _key_text(key: Any) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return str(key)
