"""A request without a destination is known before it runs, and only where no run could send it."""

from typing import Any

import pytest

from tools.destinations import has_no_destination
from tools.errors import RunError
from tools.model import RequestConfig, Tool
from tools.scope import Credentials, Scope
from tools.scripts import ScriptEngine
from tools.templates import Resolver, render_url

VALUES = ["", "a.test", "https://a.test", "https://a.test/x", "/x", "://a.test", "//a.test", "@a"]


def tool(url: str, *, system_id: str | None = None) -> Tool:
    steps = [
        {"id": "first", "config": {"url": "https://b.test", "systemId": system_id}},
        {"id": "s", "config": {"url": url}},
    ]
    schema = {"type": "object", "properties": {"h": {"type": "string"}}}
    return Tool.model_validate({"id": "t", "inputSchema": schema, "steps": steps})


def leads_nowhere(url: str, *, system_id: str | None = None) -> bool:
    made = tool(url, system_id=system_id)
    config = made.steps[1].config
    assert isinstance(config, RequestConfig)
    return has_no_destination(made, config)


async def reached(scripts: ScriptEngine, url: str, value: str, **credentials: str) -> str | None:
    state: dict[str, Any] = {"h": value, "first": {"data": {"url": value}}, "currentItem": value}
    scope = Scope(state, Credentials(credentials, credentials))
    resolver = Resolver(scope, scripts.session(), "s")
    try:
        return await render_url(url, resolver, system_url=None, allowed_origins=())
    except RunError:
        return None


@pytest.mark.parametrize(
    "url",
    [
        *("<<h>>", "<<raw:h>>/x", "<<$.h>>", "{{h}}/x", "<<first.data.url>>", "<<currentItem>>"),
        *("<<(s) => s.h>>", "<<(s) => `https://${s.h}/`>>", "http<<h>>", "http<<raw:h>>/x"),
        *("http://<<h>>/x", "https://<<h>>.test/", "https://<<raw:h>>", "https://<<(s) => s.h>>"),
    ],
)
async def test_where_a_url_leads_nowhere_no_value_of_a_run_makes_it_lead_somewhere(
    scripts: ScriptEngine, url: str
) -> None:
    assert leads_nowhere(url)
    assert [await reached(scripts, url, value) for value in VALUES] == [None] * len(VALUES)
    # The values of a system's origin are allowed everywhere in its tool.
    assert not leads_nowhere(url, system_id="acme")


@pytest.mark.parametrize(
    ("url", "value", "credentials"),
    [
        ("https://api.test", "", {}),
        ("https://api.test/<<h>>", "x", {}),
        ("https://api.test<<h>>", "", {}),
        ("https://api.test<<(s) => s.h>>", "/x", {}),
        ("https://api.test?<<h>>", "x", {}),
        ("<<base>>/x", "", {"base": "https://api.test"}),
        ("<<credentials.base>>/x", "", {"base": "https://api.test"}),
    ],
)
async def test_where_a_run_can_reach_something_a_url_has_a_destination(
    scripts: ScriptEngine, url: str, value: str, credentials: dict[str, str]
) -> None:
    assert (await reached(scripts, url, value, **credentials) or "").startswith("https://api.test")
    assert not leads_nowhere(url)
