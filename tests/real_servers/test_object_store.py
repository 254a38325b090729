"""Large results in a bucket, on a server that speaks S3."""

import random
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from server.app import open_service
from server.settings import Settings
from storage.audit import audit
from storage.errors import StorageError
from storage.objects import ObjectStore
from tests.server.helpers import request_tool, start, store
from tests.web import Answer, Web

ROWS: list[dict[str, Any]] = [
    {"id": n, "code": random.Random(n).randbytes(400).hex()} for n in range(1500)
]


@pytest.fixture
def bucket(aws: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of its own, and the variables that say how to get there."""
    name = f"results-{uuid4().hex[:8]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    httpx.put(f"{aws}/{name}").raise_for_status()
    return name


def in_bucket(settings: Settings, bucket: str) -> Settings:
    return settings.model_copy(update={"results_url": f"s3://{bucket}/callslip"})


async def test_results_go_to_the_bucket_are_read_from_it_and_go_with_their_run(
    settings: Settings, web: Web, aws: str, bucket: str
) -> None:
    web.responds(lambda seen: Answer(ROWS))
    async with open_service(in_bucket(settings, bucket)) as service:
        await store(service, request_tool("rows", web.url, retries=0))
        active = await start(service, "rows")
        await active.wait()
        run = await service.get_run(active.run_id)
        assert (run.result_uri or "").startswith(f"s3://{bucket}/callslip/")
        assert run.result is None
        whole = await service.get_run(active.run_id, with_large=True)
        assert whole.damage is None
        assert whole.data == ROWS
        assert whole.steps[0]["data"]["data"] == ROWS
        async with httpx.AsyncClient(base_url=aws) as client:
            assert "callslip/" in (await client.get(f"/{bucket}")).text
            assert await service.history.delete(active.run_id)
            assert "callslip/" not in (await client.get(f"/{bucket}")).text
    assert not settings.results_directory.exists()


async def test_a_home_that_went_over_to_a_bucket_reads_both(
    settings: Settings, web: Web, bucket: str
) -> None:
    web.responds(lambda seen: Answer(ROWS))
    async with open_service(settings) as service:
        await store(service, request_tool("rows", web.url, retries=0))
        await (await start(service, "rows", run_id="in a file")).wait()
    web.responds(lambda seen: Answer(ROWS[1:]))
    async with open_service(in_bucket(settings, bucket)) as service:
        await (await start(service, "rows", run_id="in a bucket")).wait()
        for run_id, rows in (("in a file", ROWS), ("in a bucket", ROWS[1:])):
            run = await service.get_run(run_id, with_large=True)
            assert run.data == rows


async def test_the_audit_searches_the_bucket(settings: Settings, web: Web, bucket: str) -> None:
    settings = in_bucket(settings, bucket)
    web.responds(lambda seen: Answer(ROWS))
    async with open_service(settings) as service:
        await store(service, request_tool("rows", web.url, retries=0))
        await (await start(service, "rows")).wait()
    objects = ObjectStore(settings.results_directory, settings.results_url)
    secrets = {"planted": ROWS[3]["code"]}
    report = await audit(settings.home, settings.database_path, secrets, objects)
    assert report.hits > 0


async def test_a_bucket_that_cannot_be_had_loses_nothing(
    settings: Settings, web: Web, bucket: str
) -> None:
    web.responds(lambda seen: Answer(ROWS))
    async with open_service(in_bucket(settings, "no-such-bucket")) as service:
        await store(service, request_tool("rows", web.url, retries=0))
        active = await start(service, "rows")
        await active.wait()
        run = await service.get_run(active.run_id)
    assert run.result_uri is None
    assert run.data == ROWS


async def test_what_is_not_there_is_an_error_with_its_address(tmp_path: Path, bucket: str) -> None:
    objects = ObjectStore(tmp_path, f"s3://{bucket}")
    uri = f"s3://{bucket}/ab/nothing.zst"
    with pytest.raises(StorageError, match=r"ab/nothing\.zst: "):
        await objects.get(uri)
    await objects.delete(uri)
