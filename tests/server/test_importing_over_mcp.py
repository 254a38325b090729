"""`import_api`: a model looks at an API first, and then takes what it needs."""

from server.service import Service
from tests.server.importing import document, imported, operation
from tests.server.test_authoring import ask, authoring
from tests.server.test_mcp import ERAS, call, listed, text
from tests.web import Answer, Web


@ERAS
async def test_an_api_is_imported_only_when_it_is_meant(
    era: str, service: Service, web: Web
) -> None:
    paths = {"/a": {"get": operation(tags=["first"])}, "/b": {"get": {"tags": ["second"]}}}
    schemes = {"securitySchemes": {"k": {"type": "http", "scheme": "bearer"}}}
    described = document("/v1", paths, components=schemes, security=[{"k": []}])
    web.answers(Answer(described))
    async with authoring(service, era) as client:
        answer = await ask(client, "import_api", url=f"{web.url}/api.json")
        assert answer["dryRun"]
        assert answer["counts"]["added"] == 2
        assert "it" not in await listed(client)
        answer = await ask(
            client, "import_api", url=f"{web.url}/api.json", tags=["first"], dryRun=False
        )
        assert [one["id"] for one in answer["added"]] == ["it"]
        assert answer["system"]["credentials"] == [
            {
                "name": "token",
                "for": "k",
                "isSet": False,
                "command": "callslip systems set-credential echo token",
            }
        ]
        assert "it" in await listed(client)


@ERAS
async def test_a_model_is_told_of_an_api_of_the_same_title_and_sees_no_password(
    era: str, service: Service, web: Web
) -> None:
    await imported(service, document("https://other.example", {"/z": {"get": {}}}))
    web.answers(Answer(document("/v1", {"/a": {"get": operation()}})))
    url = web.url.replace("://", "://ann:hunter2hunter2@")
    async with authoring(service, era) as client:
        answer = await ask(client, "import_api", url=f"{url}/api.json?token=hunter3hunter3")
    assert (answer["system"]["id"], answer["system"]["takenId"]) == ("echo-2", "echo")
    assert answer["system"]["url"] == f"{web.url}/v1"
    assert "The system echo is of another API" in answer["next"]
    assert "hunter" not in str(answer)


@ERAS
async def test_a_document_that_cannot_be_imported_is_told(
    era: str, service: Service, web: Web
) -> None:
    web.answers(Answer("just words"))
    async with authoring(service, era) as client:
        answer = await call(client, "import_api", {"url": f"{web.url}/api.json"})
        assert answer["isError"]
        assert "this is not an OpenAPI document" in text(answer)
        answer = await call(client, "import_api", {"url": "/etc/passwd"})
        assert answer["isError"]
        assert "url is no http url" in text(answer)
