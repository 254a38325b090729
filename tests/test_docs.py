"""What the documents say is true: their examples run, their lists are complete."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

from server.active_run import RunRequest
from server.service import Service
from server.settings import Settings
from tests.web import Answer, Web
from tools.errors import ErrorKind
from tools.run import RequestSource

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
_JSON_BLOCK = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = _JSON_BLOCK.findall((DOCS / "tool-format.md").read_text("utf-8"))
_DEFAULTS_IN_WORDS = {
    "home": "~/.local/share/callslip",
    "config_directory": "~/.config/callslip",
    "master_key": "the keyring or the key file",
    "allow_private": "1",
    "retention_days_success": "as above",
    "results_url": "files of the home",
}
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: json.loads(text)["tool"]["id"])
async def test_an_example_of_the_tool_format_does_what_it_says(
    text: str, service: Service, web: Web
) -> None:
    example: dict[str, Any] = json.loads(text.replace("http://WEB", web.url))
    if "web" in example:
        web.answers(*(Answer(one["body"], one.get("status", 200)) for one in example["web"]))
    checked, outcome = await service.tools.put(example["tool"])
    assert outcome is not None, [str(problem) for problem in checked.problems]
    request = RunRequest(example["tool"]["id"], example.get("inputs", {}), RequestSource.API)
    ended = await (await service.start(request)).wait()
    assert ended.data == example["result"], ended.error
    if "sent" in example:
        assert [seen.target for seen in web.seen] == example["sent"]
    if "sentBodies" in example:
        assert [json.loads(seen.body) for seen in web.seen] == example["sentBodies"]


def test_every_error_kind_has_its_heading() -> None:
    headings = re.findall(r"^## (\w+)$", (DOCS / "errors.md").read_text("utf-8"), re.MULTILINE)
    assert headings == [str(kind) for kind in ErrorKind]


def test_every_setting_is_listed_with_its_default() -> None:
    listed = (DOCS / "settings.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(CALLSLIP_\w+)`[^|]*\| `?([^`|]+)", listed, re.MULTILINE))
    for name, setting in Settings.model_fields.items():
        if name in {"proxies", "exports_traces", "retention_days_failed", "retention_days_aborted"}:
            # The first two have variables of their own, the others share a row.
            continue
        default = rows.pop(f"CALLSLIP_{name.upper()}").strip()
        if name in _DEFAULTS_IN_WORDS:
            # What is found when the program runs, or is made of other settings.
            assert default == _DEFAULTS_IN_WORDS[name], name
            assert setting.default in {None, PydanticUndefined}, name
        elif isinstance(setting.default, bool):
            assert default == ("1" if setting.default else "0"), name
        elif isinstance(setting.default, int | float):
            assert float(default) == setting.default, name
        else:
            assert default == (setting.default or "none"), name
    assert not rows


def test_every_dependency_has_its_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    reasons = (DOCS / "dependencies.md").read_text("utf-8")
    names = {re.split(r"[<>=;\s]", dependency)[0] for dependency in project["dependencies"]}
    missing = {name for name in names - {"tzdata"} if f"`{name}`" not in reasons}
    assert not missing


@pytest.mark.parametrize(
    "document",
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))],
    ids=lambda path: path.name,
)
def test_a_document_links_only_to_what_is_there(document: Path) -> None:
    targets = _LINK.findall(document.read_text("utf-8"))
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing
