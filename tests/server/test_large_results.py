"""Results too large for the database: recorded whole, read in parts, never passed through whole."""

import gc
import gzip
import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import anyio
import pytest
from mcp.shared.exceptions import MCPError
from mcp.types import TextResourceContents

from server.app import open_service
from server.reruns import RerunRequest
from server.service import Service
from server.settings import Settings
from storage.audit import audit
from storage.objects import ObjectStore
from tests.server.helpers import (
    WAIT_SECONDS,
    request_tool,
    script_tool,
    silent_upstream,
    start,
    store,
    until,
)
from tests.server.raw_client import run_command
from tests.server.test_cli import as_json
from tests.server.test_mcp import ERAS, MODERN, call, connected, text
from tests.server.test_systems import add_system
from tests.web import Answer, Web
from tools.errors import RunError
from tools.json_text import encode_json
from tools.run import RequestSource, RunStatus

ROWS: list[dict[str, Any]] = [
    {"id": n, "code": random.Random(n).randbytes(400).hex()} for n in range(1500)
]


@pytest.fixture
async def large(service: Service, web: Web) -> str:
    """A run whose result has more than a megabyte that does not compress well."""
    web.responds(lambda seen: Answer(ROWS))
    await store(service, request_tool("rows", web.url, retries=0))
    active = await start(service, "rows", run_id="large")
    assert (await active.wait()).data == ROWS
    return active.run_id


UNEVEN: list[Any] = ["x" * 13_000, *[1] * 999]


@ERAS
async def test_a_small_result_with_one_long_part_is_shown_whole(era: str, service: Service) -> None:
    code = '() => ["x".repeat(13000), ...Array(999).fill(1)]'
    await store(service, script_tool("uneven", code))
    active = await start(service, "uneven", run_id="uneven")
    assert (await active.wait()).data == UNEVEN
    async with connected(service, era) as client:
        part = await call(client, "read_result", {"runId": "uneven", "limit": 1000})
        assert part["structuredContent"]["value"] == UNEVEN
        (content,) = (await client.read_resource("callslip://runs/uneven/results")).contents
        assert isinstance(content, TextResourceContents)
        assert json.loads(content.text) == UNEVEN
        record = await client.read_resource("callslip://runs/uneven")
        assert '"data"' in str(record.contents[0])


async def test_a_preview_counts_by_paths_that_can_be_read(service: Service) -> None:
    code = "() => ({'a.b': Array(3000).fill('x'.repeat(20)), plain: [1, 2], 'it\\'s': [1]})"
    await store(service, script_tool("odd", code))
    async with connected(service, MODERN) as client:
        answer = await call(client, "odd")
        handle = answer["structuredContent"]["callslip"]
        counts = handle["preview"]["counts"]
        assert counts == {"$['a.b']": 3000, "$.plain": 2, "$['it\\'s']": 1}
        for path, count in counts.items():
            part = await call(client, "read_result", {"runId": handle["runId"], "path": path})
            assert part["structuredContent"]["total"] == count


async def test_a_record_that_is_shortened_says_of_a_running_run_that_it_runs(
    service: Service,
) -> None:
    async with silent_upstream() as upstream:
        tool = request_tool("wait", upstream.url)
        await store(service, {**tool, "instruction": "x" * 50_000})
        active = await start(service, "wait")
        async with connected(service, MODERN) as client:
            shown = (await call(client, "get_run", {"runId": active.run_id}))["structuredContent"]
        await service.cancel_run(active.run_id, "enough")
    assert shown["status"] == "running"
    assert shown["next"] == (
        "this record is shortened; still running; call get_run again with wait_seconds"
    )


@ERAS
async def test_of_many_steps_the_largest_are_left_out(era: str, service: Service, web: Web) -> None:
    web.responds(lambda seen: Answer({"text": "a whale " * int(seen.query.removeprefix("n="))}))
    sizes = {"first": 300_000, "second": 250_000, "third": 1}
    steps = [
        {"id": name, "config": {"url": f"{web.url}/?n={size}"}, "retries": 0}
        for name, size in sizes.items()
    ]
    await store(service, {"id": "three", "steps": steps, "outputTransform": "() => 1"})
    await (await start(service, "three", run_id="three")).wait()
    async with connected(service, era) as client:
        (content,) = (await client.read_resource("callslip://runs/three")).contents
        assert isinstance(content, TextResourceContents)
        record = json.loads(content.text)
    kept = {one["stepId"]: "data" in one for one in record["stepResults"]}
    assert kept == {"first": False, "second": True, "third": True}
    assert "steps" in record["next"]


def files(settings: Settings) -> list[Path]:
    return sorted(path for path in settings.results_directory.rglob("*") if path.is_file())


def mode_of(path: Path) -> int:
    return path.stat().st_mode


@ERAS
async def test_it_is_read_by_path_and_page_over_mcp(era: str, large: str, service: Service) -> None:
    async with connected(service, era) as client:
        part = await call(client, "read_result", {"runId": large, "path": "$[3:5].id"})
        assert part["structuredContent"]["value"] == [3, 4]
        page = await call(
            client, "read_result", {"runId": large, "offset": 1490, "limit": 50, "fields": ["id"]}
        )
        assert page["structuredContent"]["value"] == [{"id": n} for n in range(1490, 1500)]
        assert page["structuredContent"]["total"] == 1500
        record = (await call(client, "get_run", {"runId": large}))["structuredContent"]
        assert "data" not in record
        assert record["resultBytes"] == len(json.dumps(ROWS, separators=(",", ":")))
        assert record["resultStorageUri"].startswith("file:///")
        assert "read_result" in record["next"]
        with pytest.raises(MCPError, match="too many to be read whole: add path"):
            await client.read_resource(f"callslip://runs/{large}/results")
        answer = await call(client, "rows")
        assert "preview" in answer["structuredContent"]["callslip"]
        step = await call(client, "compare_runs", {"a": large, "b": large})
        assert not step.get("isError"), text(step)


MANY_ROWS: list[dict[str, Any]] = [
    {"id": n, "of": [{"id": n}], "text": "},{" * 9} for n in range(90_000)
]


@pytest.mark.parametrize(
    ("content_type", "value", "path", "part"),
    [
        (None, {"page": 1, "rows": MANY_ROWS, "next": None}, "$.rows[-1].id", 89_999),
        (None, {f"id {row['id']}": row for row in MANY_ROWS}, "$['id 89999'].id", 89_999),
        (None, {"a": MANY_ROWS, "b": {"c": MANY_ROWS}}, "$.b.c[-1].id", 89_999),
        (None, {"name": "a.pdf", "content": "QUJD" * 1_200_000, "pages": 2}, "$.pages", 2),
        ("text/plain", "item: one of caf\u00e9\n" * 300_000, None, None),
    ],
    ids=["rows", "by id", "two lists", "a file in it", "plain text"],
)
async def test_one_of_megabytes_is_the_same_after_it_was_read_recorded_and_found(
    service: Service, web: Web, content_type: str | None, value: Any, path: str | None, part: Any
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    web.responds(lambda seen: Answer(value, headers=headers))
    await store(service, request_tool("rows", web.url, retries=0))
    active = await start(service, "rows", run_id="r")
    outcome = await active.wait()
    assert outcome.data == value
    # Its text is made in pieces, and there is one value: in the step, as the result, and as stored.
    assert outcome.data_json is None
    assert outcome.steps[0].data["data"] is outcome.data
    assert outcome.data_bytes == len(encode_json(value))
    run = await service.get_run("r", with_large=True)
    assert run.data == value
    assert run.steps[0]["data"]["data"] is run.data
    if path is None:
        return
    async with connected(service, MODERN) as client:
        found = await call(client, "read_result", {"runId": "r", "path": path})
        assert found["structuredContent"]["value"] == part


async def test_a_credential_in_one_of_megabytes_is_taken_out_wherever_it_is(
    service: Service, web: Web
) -> None:
    secret = "s3cret-of-the-upstream"
    await add_system(service, url=web.url, credentials={"token": secret})
    for place in (0, 25_000, 89_999):
        rows = [*MANY_ROWS]
        rows[place] = {"id": place, "of": secret}
        web.responds(lambda seen, rows=rows: Answer(rows))
        await store(service, request_tool("rows", "/", config={"systemId": "acme"}))
        outcome = await (await start(service, "rows")).wait()
        assert outcome.data[place] == {"id": place, "of": "[credential acme.token]"}


async def test_the_end_of_a_body_that_is_kept_in_part_shows_no_part_of_a_credential(
    service: Service, web: Web
) -> None:
    secret = "the-secret-of-an-upstream-" + "0123456789" * 6
    await add_system(service, url=web.url, credentials={"token": secret})
    # Each mark is shorter than what it stands for, so that the kept part ends behind the cut.
    content = (secret + " ").encode() * 80_000
    web.responds(lambda seen: Answer(content, headers={"Content-Type": "text/plain"}))
    await store(service, request_tool("text", "/", config={"systemId": "acme"}))
    await (await start(service, "text", run_id="r")).wait()
    exchange = (await service.get_run("r")).steps[0]["requests"][0]["exchange"]
    assert exchange["truncated"]
    kept = exchange["responseBody"].replace("[credential acme.token]", "")
    assert len(exchange["responseBody"]) > 1_000_000
    assert "[credential acme.token]".startswith(kept.strip())


async def test_one_of_megabytes_that_is_no_json_says_at_which_byte(
    service: Service, web: Web
) -> None:
    broken = encode_json(MANY_ROWS)[:-100]
    web.responds(lambda seen: Answer(broken, headers={"Content-Type": "application/json"}))
    await store(service, request_tool("rows", web.url, retries=0))
    outcome = await (await start(service, "rows")).wait()
    assert outcome.error is not None
    assert f"at byte {len(broken):,}" in outcome.error


async def test_one_of_megabytes_that_is_not_utf8_is_read_in_one_encoding_as_a_whole(
    service: Service, web: Web
) -> None:
    rows = [{"id": n, "name": "né"} for n in range(200_000)]
    body = json.dumps(rows, ensure_ascii=False).encode()
    body = body[:-10] + b"\xe9" + body[-10:]
    web.responds(lambda seen: Answer(body, headers={"Content-Type": "application/json"}))
    await store(service, request_tool("rows", web.url, retries=0))
    active = await start(service, "rows")
    assert (await active.wait()).data == json.loads(body.decode("latin-1"))
    [step] = (await service.get_run(active.run_id)).steps
    assert step["warnings"] == ["The body is not UTF-8 and was read as Latin-1."]


async def test_one_that_came_compressed_is_large_too(service: Service, web: Web) -> None:
    rows = [{"id": 1, "name": "the same"}] * 300_000
    body = gzip.compress(encode_json(rows))
    assert len(body) < 64 * 1024
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    web.responds(lambda seen: Answer(body, headers=headers))
    await store(service, request_tool("rows", web.url, retries=0))
    outcome = await (await start(service, "rows")).wait()
    assert outcome.data == rows
    assert outcome.data_json is None


async def test_one_that_is_taken_from_a_record_is_large_too(service: Service, web: Web) -> None:
    answers = {"/rows": Answer(MANY_ROWS), "/broken": Answer("no", status=400)}
    web.responds(lambda seen: answers[seen.path])
    steps = [{"id": name, "config": {"url": f"{web.url}/{name}"}} for name in ("rows", "broken")]
    transform = "(state) => state.rows.data"
    await store(service, {"id": "t", "retries": 0, "steps": steps, "outputTransform": transform})
    await (await start(service, "t", run_id="failed")).wait()
    answers["/broken"] = Answer([])
    wanted = RerunRequest("failed", RequestSource.CLI, from_failed_step=True)
    outcome = await (await service.rerun(wanted)).run.wait()
    assert outcome.data == MANY_ROWS
    assert outcome.data_json is None
    assert [step.taken_from for step in outcome.steps] == ["failed", None]


async def test_one_that_is_a_single_text_is_stored_once(service: Service, web: Web) -> None:
    words = random.Random(1).randbytes(2_000_000).hex()
    web.responds(lambda seen: Answer(words))
    await store(service, request_tool("text", web.url, retries=0))
    active = await start(service, "text")
    assert (await active.wait()).data == words
    run = await service.get_run(active.run_id, with_large=True)
    assert run.data == words
    assert run.steps[0]["data"]["data"] is run.data


async def test_a_cancelled_run_keeps_no_credential_in_its_large_data(
    service: Service, web: Web
) -> None:
    secret = "s3cret-of-the-upstream"
    rows = [*MANY_ROWS[:-1], {"id": secret}]
    asked = anyio.Event()

    def respond(seen: Any) -> Answer:
        if seen.path == "/rows":
            return Answer(rows)
        asked.set()
        return Answer([], release=anyio.Event())

    web.responds(respond)
    await add_system(service, url=web.url, credentials={"token": secret})
    steps = [
        {"id": name, "config": {"systemId": "acme", "url": f"/{name}"}} for name in ("rows", "end")
    ]
    await store(service, {"id": "t", "retries": 0, "steps": steps})
    active = await start(service, "t")
    with anyio.fail_after(WAIT_SECONDS):
        await asked.wait()
    await service.cancel_run(active.run_id, "enough")
    run = await service.get_run(active.run_id, with_large=True)
    assert run.status is RunStatus.ABORTED
    assert run.steps[0]["data"]["data"] == [*rows[:-1], {"id": "[credential acme.token]"}]


async def test_two_are_compared_and_one_that_is_the_same_file_is_not_read(
    large: str, service: Service, settings: Settings, web: Web
) -> None:
    same = await start(service, "rows")
    await same.wait()
    changed = [*ROWS[:-1], {"id": 1499, "code": "other"}]
    web.responds(lambda seen: Answer(changed))
    other = await start(service, "rows")
    await other.wait()
    comparison = await service.compare_runs(large, other.run_id)
    assert [one["path"] for one in comparison["result"]["changes"]] == ["$[?@.id==1499].code"]
    for file in files(settings):
        file.unlink()
    assert "result" in (await service.compare_runs(large, same.run_id))["same"]


async def test_its_step_data_is_read_in_parts_too(large: str, service: Service) -> None:
    run = await service.get_run(large)
    [step] = run.steps
    assert "data" not in step
    assert step["dataUri"].startswith("file:///")
    whole = await service.get_run(large, with_large=True)
    assert whole.steps[0]["data"]["data"] == ROWS
    assert whole.damage is None


async def test_the_file_is_its_owners_alone_and_goes_with_the_run(
    large: str, service: Service, settings: Settings
) -> None:
    run = await service.get_run(large)
    assert run.result_uri is not None
    path = Path(unquote(urlsplit(run.result_uri).path))
    assert path in files(settings)
    assert [mode_of(one) & 0o077 for one in files(settings)] == [0] * len(files(settings))
    assert await service.history.delete(large)
    assert files(settings) == []


async def test_a_result_whose_file_is_gone_says_so_and_the_record_opens(
    large: str, service: Service, settings: Settings
) -> None:
    for path in files(settings):
        path.unlink()
    run = await service.get_run(large, with_large=True)
    assert run.result is None
    assert "cannot be read: No such file" in (run.damage or "")
    assert run.inputs == {}
    async with connected(service, "legacy") as client:
        answer = await call(client, "read_result", {"runId": large, "path": "$"})
        assert answer["isError"]
        assert "cannot be read" in text(answer)


async def test_a_damaged_file_is_found_out_by_its_hash(
    large: str, service: Service, settings: Settings
) -> None:
    for path in files(settings):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    run = await service.get_run(large, with_large=True)
    assert run.result is None
    assert "damaged" in (run.damage or "")


async def test_a_home_that_cannot_take_files_keeps_results_in_the_database(
    settings: Settings, web: Web
) -> None:
    settings.home.mkdir(parents=True)
    settings.results_directory.write_text("no directory")
    web.responds(lambda seen: Answer(ROWS))
    async with open_service(settings) as service:
        await store(service, request_tool("rows", web.url, retries=0))
        active = await start(service, "rows")
        await active.wait()
        run = await service.get_run(active.run_id)
    assert run.result_uri is None
    assert run.result is not None
    assert run.data == ROWS


async def test_the_audit_reads_files_of_results(
    large: str, service: Service, settings: Settings
) -> None:
    objects = ObjectStore(settings.results_directory)
    planted = ROWS[700]["code"]
    report = await audit(settings.home, settings.database_path, {"planted": planted}, objects)
    assert report.hits > 0
    assert any("blob " in location for location in report.locations)
    other = {"absent": "0123456789abcdef-not-there"}
    assert (await audit(settings.home, settings.database_path, other, objects)).hits == 0


async def test_a_backup_holds_them_and_is_complete_without_the_files(
    large: str, service: Service, settings: Settings, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    code, _, errors = await run_command(settings.home, "backup", str(copy))
    assert code == 0, errors
    home = tmp_path / "restored"
    home.mkdir()
    copy.rename(home / "callslip.db")
    with closing(sqlite3.connect(home / "callslip.db")) as connection:
        assert connection.execute(
            "SELECT count(*) FROM blobs WHERE uri IS NOT NULL"
        ).fetchone() == (0,)
    assert await as_json(home, "runs", "result", large, "--path", "$[2].id") == 2


async def test_one_process_reads_what_another_recorded(
    large: str, service: Service, settings: Settings
) -> None:
    async with open_service(settings) as other:
        run: Any = await other.get_run(large, with_large=True)
    assert run.data == ROWS


UNREADABLE = {
    "broken": ("application/json", b'[{"id": 1},' * 100_000),
    "broken line": ("application/x-ndjson", b'{"id": 1}\n' * 100_000 + b"{"),
    "filtered": ("application/json", b"[" + b'{"id": "secret"},' * 60_000 + b"0]"),
    "outside its schema": ("application/json", b"[" + b'{"id": 1},' * 60_000 + b"0]"),
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_one_that_fails_leaves_nothing_for_the_collector(
    service: Service, web: Web, name: str
) -> None:
    content_type, body = UNREADABLE[name]
    web.answers(Answer(body, headers={"content-type": content_type}))
    fields: dict[str, Any] = {}
    if name == "filtered":
        secret = {"id": "f", "target": "VALUES", "pattern": "secret", "action": "FAIL"}
        fields["responseFilters"] = [secret]
    if name == "outside its schema":
        fields["outputSchema"] = {"type": "array", "items": {"type": "string"}}
    await store(service, request_tool("large", web.url, retries=0, **fields))
    gc.collect()
    gc.disable()
    try:
        outcome = await (await start(service, "large")).wait()
        assert outcome.status == RunStatus.FAILED
        del outcome
        await until(
            lambda: not any(isinstance(one, RunError) for one in gc.get_objects()),
            "the error and what it holds is let go",
        )
    finally:
        gc.enable()


WORDS = "a caf\u00e9 and a croissant, " * 300_000


@pytest.fixture
async def repetitive(service: Service, web: Web) -> str:
    """A run with a result, and a step beside it, of megabytes that compress to little."""
    web.answers(Answer({"text": WORDS, "count": 1}))
    tool = request_tool("words", web.url, retries=0, outputTransform="(s) => s.get.data.text")
    await store(service, tool)
    active = await start(service, "words", run_id="words")
    assert (await active.wait()).data == WORDS
    return active.run_id


@ERAS
async def test_a_text_is_read_on_by_characters(era: str, repetitive: str, service: Service) -> None:
    async with connected(service, era) as client:
        answer = await call(client, "words")
        assert "offset" in text(answer)
        read = ""
        for _ in range(3):
            arguments = {"runId": repetitive, "offset": len(read), "limit": 8_000}
            part = (await call(client, "read_result", arguments))["structuredContent"]
            assert (part["total"], part["hasMore"]) == (len(WORDS), True)
            read += part["value"]
        assert read == WORDS[:24_000]
        arguments = {"runId": repetitive, "offset": len(WORDS) - 5}
        part = (await call(client, "read_result", arguments))["structuredContent"]
        assert (part["value"], part["hasMore"]) == (WORDS[-5:], False)
        arguments = {"runId": repetitive, "limit": 100_001}
        assert (await call(client, "read_result", arguments))["isError"]


@ERAS
async def test_what_a_step_received_is_read_in_parts_too(
    era: str, repetitive: str, service: Service
) -> None:
    async with connected(service, era) as client:
        arguments = {"runId": repetitive, "stepId": "get", "path": "$.data.text", "limit": 7}
        part = (await call(client, "read_result", arguments))["structuredContent"]
        assert (part["value"], part["total"]) == (WORDS[:7], len(WORDS))
        refused = await call(client, "read_result", {"runId": repetitive, "stepId": "none"})
        assert refused["isError"]
        assert "it has: get" in text(refused)


@ERAS
async def test_megabytes_are_not_read_whole_however_well_they_compress(
    era: str, repetitive: str, service: Service
) -> None:
    uri = f"callslip://runs/{repetitive}"
    async with connected(service, era) as client:

        async def read(address: str) -> Any:
            (content,) = (await client.read_resource(address)).contents
            assert isinstance(content, TextResourceContents)
            assert len(content.text) < 100_000
            return json.loads(content.text)

        record = await read(uri)
        assert "data" not in record
        assert "data" not in record["stepResults"][0]
        assert f"{uri}/results" in record["next"]
        assert "next" not in await read(f"{uri}?summary=true")
        assert (await read(f"{uri}?view=workflow"))["id"] == repetitive
        assert (await read(f"{uri}/results?limit=3"))["value"] == WORDS[:3]
        assert (await read(f"{uri}/steps/get?path=$.data.count"))["value"] == 1
        for address in (f"{uri}/results", f"{uri}/steps/get", f"{uri}/steps/get?limit=1"):
            with pytest.raises(MCPError) as refused:
                await client.read_resource(address)
            assert "path" in str(refused.value)


async def test_an_archive_may_unpack_to_what_an_answer_may_have(
    settings: Settings, web: Web
) -> None:
    words = "a whale " * 20_000
    web.answers(Answer(gzip.compress(words.encode()), headers={"content-type": "application/gzip"}))
    for most, status in ((len(words), RunStatus.SUCCESS), (len(words) - 1, RunStatus.FAILED)):
        bounded = settings.model_copy(update={"max_response_bytes": most})
        async with open_service(bounded) as service:
            await store(service, request_tool("packed", web.url, retries=0))
            outcome = await (await start(service, "packed")).wait()
            assert outcome.status == status
            if status == RunStatus.FAILED:
                assert outcome.error_detail is not None
                assert "CALLSLIP_MAX_RESPONSE_BYTES" in str(outcome.error_detail.hint)
