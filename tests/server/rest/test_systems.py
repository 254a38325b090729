"""`/v1/systems`: credentials go in and never come out."""

import httpx

from server.automation import Automation
from server.service import Service
from tests.server.helpers import script_tool, store
from tests.server.rest.helpers import message_of

SYSTEM = {
    "id": "crm",
    "url": "https://crm.example",
    "auth": {"type": "bearer", "credential": "token"},
    "credentials": {"token": "s3cret-value-1", "other": "s3cret-value-2"},
}


async def test_a_system_is_stored_changed_and_removed(rest: httpx.AsyncClient) -> None:
    added = await rest.post("/systems", json=SYSTEM)
    assert added.status_code == 201
    assert added.json()["credentials"]["token"]["set"] is True
    assert (await rest.get("/systems/crm")).json() == added.json()
    changed = await rest.patch(
        "/systems/crm", json={"name": "CRM", "credentials": {"other": None, "new": "s3cret-3xx"}}
    )
    assert changed.json()["name"] == "CRM"
    assert changed.json()["url"] == SYSTEM["url"]
    assert changed.json()["credentials"].keys() == {"token", "new"}
    listed = await rest.get("/systems")
    assert [system["id"] for system in listed.json()["data"]] == ["crm"]
    for answer in (added, changed, listed):
        assert "s3cret" not in answer.text
    assert (await rest.delete("/systems/crm")).json() == {"success": True}
    assert "not found" in message_of(await rest.get("/systems/crm"), 404)
    message_of(await rest.patch("/systems/crm", json={}), 404)
    message_of(await rest.delete("/systems/crm"), 404)


async def test_environments_are_systems_of_their_own(rest: httpx.AsyncClient) -> None:
    await rest.post("/systems", json=SYSTEM)
    assert (await rest.post("/systems?environment=dev", json=SYSTEM)).status_code == 201
    message_of(await rest.post("/systems?environment=dev", json=SYSTEM), 409)
    assert (await rest.get("/systems?environment=dev")).json()["total"] == 1
    assert (await rest.get("/systems")).json()["total"] == 2
    message_of(await rest.get("/systems?environment=test"), 400)
    message_of(await rest.patch("/systems/crm", json={"environment": "dev"}), 400)


async def test_programs_and_files_of_the_machine_are_not_named_over_http(
    rest: httpx.AsyncClient,
) -> None:
    sources = {"fromCommand": ["sh", "-c", "id"]}, {"fromFile": "/etc/passwd"}, {"fromEnv": "X"}
    await rest.post("/systems", json=SYSTEM)
    for source in sources:
        credentials = {"credentials": {"token": source}}
        added = await rest.post("/systems", json={**SYSTEM, "id": "other", **credentials})
        assert "command line" in message_of(added, 400)
        message_of(await rest.patch("/systems/crm", json=credentials), 400)
    files = {"tls": {"cert": "/etc/passwd", "key": "/etc/shadow"}}
    added = await rest.post("/systems", json={**SYSTEM, "id": "other", **files})
    assert "command line" in message_of(added, 400)
    message_of(await rest.patch("/systems/crm", json=files), 400)
    assert (await rest.patch("/systems/crm", json={"tls": None})).status_code == 200
    assert (await rest.get("/systems")).json()["total"] == 1


async def test_a_refused_system_is_answered_with_its_problems(rest: httpx.AsyncClient) -> None:
    answer = await rest.post("/systems", json={**SYSTEM, "url": "ftp://x", "credentials": 5})
    message_of(answer, 400)
    paths = {one["path"] for one in answer.json()["error"]["details"]}
    assert {"url", "credentials"} <= paths
    await rest.post("/systems", json=SYSTEM)
    message_of(await rest.patch("/systems/crm", json={"url": "ftp://x"}), 400)
    message_of(await rest.patch("/systems/crm", json={"credentials": []}), 400)


async def test_a_misspelt_parameter_removes_no_other_system(rest: httpx.AsyncClient) -> None:
    await rest.post("/systems", json=SYSTEM)
    refused = await rest.delete("/systems/crm?enviroment=dev")
    assert "did you mean environment?" in message_of(refused, 400)
    assert (await rest.get("/systems/crm")).status_code == 200
    message_of(await rest.get("/schedules?toolId=t"), 400)


async def test_removing_a_system_names_the_hooks_that_lose_their_secret(
    rest: httpx.AsyncClient, service: Service
) -> None:
    await rest.post("/systems", json=SYSTEM)
    await store(service, script_tool("t", "1"))
    await Automation(service).put_hook("t", "crm", "token", "secret", None)
    [warning] = (await rest.delete("/systems/crm")).json()["warnings"]
    assert "the hook of tool t asks for crm.token" in warning
