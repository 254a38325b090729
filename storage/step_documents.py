"""Step results as one JSON document; large data and bodies are blobs that it refers to.

`data` is inline, or `dataBlob` names its blob; of an envelope that is the result of the run too,
`envelope` is what stands around it and `resultBlob` the result. The content of a file is always a
blob. When read, `dataUri` says where data lies that was not fetched. Bodies of
exchanges are `requestBody` as text when small and readable, else `requestBodyBlob`; likewise
`responseBody`. When read, a body that is no text is `requestBodyBase64`.
"""

import base64
import re
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from typing import cast

from storage.blobs import INLINE_BYTES, BlobReader, ElsewhereError, Packed, pack, pack_pieces
from tools.decoders.result import StoredFile
from tools.json_pieces import json_pieces, weighs_much
from tools.json_text import Json, JsonObject, encode_json, encode_json_text
from tools.run import Exchange, RequestRecord, StepRecord

__all__ = ["file_blob", "pack_steps", "steps_with_data", "with_blob_ids"]

_MARK = re.compile(r'"blob-[0-9a-f]{32}"')
#: More levels than this are not put into a document that nests further.
_INLINE_DEPTH = 200


def pack_steps(
    steps: Sequence[StepRecord],
    result: Json = None,
    packed_result: Packed | None = None,
    *,
    may_be_large: bool,
) -> tuple[str, Mapping[str, Packed]]:
    """The document, and the blobs it needs by the mark that stands for their id.

    A step whose data holds the very `result` of the run refers to `packed_result`: large data is
    encoded, compressed and stored once. Data that `may_be_large` is looked at for being so.
    """
    blobs: dict[str, Packed] = {}
    documents = [_pack_step(step, blobs, result, packed_result, may_be_large) for step in steps]
    return encode_json_text(documents), blobs


def _pack_step(
    step: StepRecord,
    blobs: dict[str, Packed],
    result: Json,
    packed_result: Packed | None,
    may_be_large: bool,
) -> JsonObject:
    fields = step.wire()
    if packed_result is not None and (envelope := _around(step, result)) is not None:
        fields["envelope"] = envelope
        fields["resultBlob"] = _mark(packed_result, blobs)
    elif step.has_data:
        try:
            _add_data(fields, step.data, blobs, may_be_large)
        except ValueError as error:
            # The end of a run is recorded whatever its data is.
            fields.setdefault("warnings", []).append(f"the data is not kept: {error}")
    if step.files:
        fields["files"] = [
            _pack_file(file, f"{step.step_id}-{number}", blobs)
            for number, file in enumerate(step.files, 1)
        ]
    fields["requests"] = [_pack_request(request, blobs) for request in step.requests]
    return fields


def _around(step: StepRecord, result: Json) -> JsonObject | None:
    """The envelope of a step without its data, when that is the result itself."""
    data: Json = step.data if step.has_data else None
    if not isinstance(data, dict) or not isinstance(result, dict | list | str):
        return None
    envelope = cast("JsonObject", data)
    if envelope.get("data") is not result:
        return None
    around = {name: value for name, value in envelope.items() if name != "data"}
    # The item of a step that ran for one is data too, of any size.
    return around if around.get("currentItem") == {} else None


def _add_data(fields: JsonObject, data: Json, blobs: dict[str, Packed], may_be_large: bool) -> None:
    if may_be_large and weighs_much(data):
        fields["dataBlob"] = _mark(pack_pieces(json_pieces(data)), blobs)
        return
    content = encode_json(data)
    # A small text may still be nested deeper than the document around it may be.
    if len(content) <= INLINE_BYTES and content.count(b"[") + content.count(b"{") < _INLINE_DEPTH:
        fields["data"] = data
    else:
        fields["dataBlob"] = _reference(content, blobs)


def _pack_file(file: StoredFile, key: str, blobs: dict[str, Packed]) -> JsonObject:
    return {
        "key": key,
        "name": file.name,
        "contentType": file.content_type,
        "size": len(file.data),
        "contentBlob": _reference(file.data, blobs),
    }


def _pack_request(request: RequestRecord, blobs: dict[str, Packed]) -> JsonObject:
    fields = request.wire()
    if request.exchange is not None:
        fields["exchange"] = _pack_exchange(request.exchange, blobs)
    return fields


def _pack_exchange(exchange: Exchange, blobs: dict[str, Packed]) -> JsonObject:
    fields: JsonObject = {"requestHeaders": exchange.request_headers}
    _add_body(fields, "requestBody", exchange.request_body, blobs)
    if exchange.response_status is not None:
        fields["responseStatus"] = exchange.response_status
        fields["responseHeaders"] = exchange.response_headers
    if exchange.response_url is not None:
        fields["responseUrl"] = exchange.response_url
    _add_body(fields, "responseBody", exchange.response_body, blobs)
    if exchange.truncated:
        fields["truncated"] = True
    if exchange.altered:
        fields["altered"] = True
    return fields


def _add_body(fields: JsonObject, name: str, body: bytes | None, blobs: dict[str, Packed]) -> None:
    if body is None:
        return
    if len(body) <= INLINE_BYTES:
        try:
            fields[name] = body.decode()
            return
        except UnicodeDecodeError:
            pass
    fields[f"{name}Blob"] = _reference(body, blobs)


def _reference(content: bytes, blobs: dict[str, Packed]) -> str:
    return _mark(pack(content), blobs)


def with_blob_ids(document: str, ids: Mapping[str, str]) -> str:
    """A document with the ids of its blobs in the places of their marks, in one pass."""
    return _MARK.sub(lambda found: ids.get(found[0], found[0]), document) if ids else document


def _mark(packed: Packed, blobs: dict[str, Packed]) -> str:
    # The id is known only inside the transaction; no upstream can guess the mark.
    mark = f"blob-{uuid.uuid4().hex}"
    blobs[encode_json_text(mark)] = packed
    return mark


def steps_with_data(
    connection: sqlite3.Connection, blobs: BlobReader, steps: Sequence[Json], damage: list[str]
) -> list[JsonObject]:
    """The step results with data and bodies in place; what is damaged is named, not raised."""
    for step in steps:
        _load(connection, blobs, step, "data", damage, as_json=True)
        _load_around(connection, blobs, step, damage)
        for file in step.get("files", ()):
            # A file is read by its key, not with the record.
            file.pop("contentBlob", None)
        for request in step.get("requests", ()):
            exchange = request.get("exchange")
            if exchange is not None:
                _load(connection, blobs, exchange, "requestBody", damage, as_json=False)
                _load(connection, blobs, exchange, "responseBody", damage, as_json=False)
    return list(steps)


def _load_around(
    connection: sqlite3.Connection, blobs: BlobReader, step: JsonObject, damage: list[str]
) -> None:
    envelope = step.pop("envelope", None)
    if envelope is None:
        return
    _load(connection, blobs, step, "result", damage, as_json=True)
    if "resultUri" in step:
        step["dataUri"] = step.pop("resultUri")
    elif "result" in step:
        step["data"] = {**envelope, "data": step.pop("result")}


def file_blob(steps: Sequence[Json], key: str) -> tuple[JsonObject, int] | None:
    """The entry of a file, and the blob that holds its content."""
    for step in steps:
        for file in step.get("files", ()):
            if file["key"] == key:
                return file, file["contentBlob"]
    return None


def _load(
    connection: sqlite3.Connection,
    blobs: BlobReader,
    fields: JsonObject,
    name: str,
    damage: list[str],
    *,
    as_json: bool,
) -> None:
    blob_id = fields.pop(f"{name}Blob", None)
    if blob_id is None:
        return
    try:
        if as_json:
            fields[name] = blobs.text(connection, blob_id).value
            return
        content = blobs.blob(connection, blob_id)
        try:
            fields[name] = content.decode()
        except UnicodeDecodeError:
            fields[f"{name}Base64"] = base64.b64encode(content).decode()
    except ElsewhereError as error:
        fields[f"{name}Uri"] = error.uri
    except (sqlite3.DatabaseError, ValueError) as error:
        damage.append(f"{name} of step {fields.get('stepId', '')}: {error}")
