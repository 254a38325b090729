"""Bytes to a document: JSON or YAML, bounded, and of a version that is known."""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from tools.decoders.result import DecodeLimits
from tools.decoders.yaml_body import decode_yaml
from tools.errors import ErrorKind, RunError
from tools.importers import DocumentError
from tools.importers.openapi.masking import without_issued_keys
from tools.importers.openapi.references import Document, Place, ReferenceProblem
from tools.json_text import Json, JsonObject, decode_json, encode_unicode

__all__ = ["MAX_DOCUMENT_BYTES", "format_of", "read_document", "reader_of_folder"]

MAX_DOCUMENT_BYTES = 50 * 1024 * 1024
#: Commas and brackets of a JSON text: each can become a value, which takes more than its text.
_MAX_JSON_VALUES = 3_000_000
_MAX_DEPTH = 150
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LABEL = "YAML"
_YAML = DecodeLimits(max_depth=_MAX_DEPTH, max_yaml_bytes=12_000_000, max_yaml_nodes=700_000)
#: All files beside a document together.
_MAX_FILES = 500


def read_document(content: bytes, read_file: Callable[[str], Json] | None = None) -> Document:
    """The document in some bytes. Raises `DocumentError`."""
    value = read_value(content)
    if not isinstance(value, dict):
        raise DocumentError(
            "this is not an OpenAPI document: it is no object",
            place="#",
            hint="An OpenAPI document begins with `openapi: 3.1.0` or `swagger: '2.0'`.",
        )
    return Document(cast("JsonObject", value), read_file)


def format_of(document: Document) -> str:
    """`swagger 2.0`, or `openapi` with 3.0, 3.1 or 3.2. Raises `DocumentError`."""
    root = document.root
    swagger, openapi = str(root.get("swagger", "")), str(root.get("openapi", ""))
    if swagger == "2.0" or swagger == "2":
        return "swagger 2.0"
    if match := re.match(r"3\.([012])(?:\.|$)", openapi):
        return f"openapi 3.{match[1]}"
    valid = "Valid are OpenAPI 3.0, 3.1 and 3.2, and Swagger 2.0."
    if "openapi" in root:
        raise DocumentError(
            f"version {without_issued_keys(openapi)[:40]!r} is not known",
            place="#/openapi",
            hint=valid,
        )
    if "swagger" in root:
        raise DocumentError(
            f"version {without_issued_keys(swagger)[:40]!r} is not known",
            place="#/swagger",
            hint=valid,
        )
    raise DocumentError(
        "this is not an OpenAPI document: it has neither `openapi` nor `swagger`",
        place="#",
        hint=f"Its keys are {_names(root)[:200] or 'none'}. {valid}",
    )


def _names(root: JsonObject) -> str:
    return ", ".join(without_issued_keys(name) for name in sorted(root)[:8])


def read_value(content: bytes) -> Json:
    """The value of a JSON or YAML text, within bounds. Raises `DocumentError`."""
    if len(content) > MAX_DOCUMENT_BYTES:
        raise DocumentError(
            f"the document has {len(content):,} bytes; at most {MAX_DOCUMENT_BYTES:,} are read"
        )
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        # What a shell of Windows writes into a file.
        with suppress(UnicodeError):
            content = content.decode("utf-16").encode()
    content = content.removeprefix(BOM_UTF8).strip()
    if not content:
        raise DocumentError("the document is empty")
    value = _json_value(content) if content[:1] in b"{[" else _yaml_value(content)
    _check_depth(value)
    # Half of a surrogate pair can neither be sent nor stored.
    return encode_unicode(value)[0] if _SURROGATE.search(content) else value


def _json_value(content: bytes) -> Json:
    if sum(map(content.count, (b",", b"[", b"{"))) > _MAX_JSON_VALUES:
        raise DocumentError(f"the document has more than {_MAX_JSON_VALUES:,} values")
    try:
        return decode_json(content)
    except ValueError as error:
        # A text that begins with a bracket may be YAML in its flow style.
        try:
            return _yaml_value(content)
        except DocumentError:
            raise DocumentError(f"the document is not JSON: {error}") from None


def _yaml_value(content: bytes) -> Json:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise DocumentError(f"the document is not text in UTF-8: byte {error.start}") from None
    try:
        return decode_yaml(text, _LABEL, _YAML).value
    except RunError as error:
        hint = None
        if error.kind is ErrorKind.SIZE_LIMIT:
            hint = "A large document is read as JSON, up to 50 MB."
        # It speaks of an answer; this is a file as often.
        message = error.message.replace(f"The answer is labelled {_LABEL} but", "The document")
        raise DocumentError(without_issued_keys(message), hint=hint) from None


def _check_depth(value: Json) -> None:
    """Raises `DocumentError`. Goes down one branch at a time, so that it takes no memory."""
    open_now = [_members(value)]
    keys: list[str | int] = [""]
    while open_now:
        member = next(open_now[-1], None)
        if member is None:
            open_now.pop()
            keys.pop()
            continue
        keys[-1] = member[0]
        if len(open_now) > _MAX_DEPTH:
            place = Place(tuple(keys[:6]))
            raise DocumentError(f"nested more than {_MAX_DEPTH} levels deep", place=f"{place}/…")
        open_now.append(_members(member[1]))
        keys.append("")


def _members(value: Json) -> Iterator[tuple[str | int, Json]]:
    """The members that have members themselves."""
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = cast("JsonObject", value).items()
    elif isinstance(value, list):
        pairs = enumerate(cast("list[Any]", value))
    for key, one in pairs:
        if one and isinstance(one, dict | list):
            yield key, cast("Json", one)


def reader_of_folder(folder: Path) -> Callable[[str], Json]:
    """Reads files below a folder for `Document`; links out of it are not followed."""
    root = folder.resolve()
    read = 0

    def read_file(name: str) -> Json:
        nonlocal read
        read += 1
        if read > _MAX_FILES:
            raise DocumentError(f"it refers to more than {_MAX_FILES} files")
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise ReferenceProblem(f"{name} leads out of the document's folder")
        try:
            if path.stat().st_size > MAX_DOCUMENT_BYTES:
                raise ReferenceProblem(f"{name} is too large")
            return read_value(path.read_bytes())
        except OSError as error:
            raise ReferenceProblem(f"{name} cannot be read: {error.strerror}") from None
        except DocumentError as error:
            raise ReferenceProblem(f"{name}: {error}") from None

    return read_file
