"""Which watched names a script read, in the engine and on paths that need none."""

from typing import Any

import pytest

from tools.errors import RunError
from tools.json_text import Json
from tools.scripts import Script, ScriptEngine, ScriptForm, ScriptValue

STATE: dict[str, Any] = {"pin": "1", "plain": 2, "other": {"pin": 3}}
WATCHED = ("pin", "other")


async def evaluate(engine: ScriptEngine, source: str, *watched: str) -> ScriptValue:
    async with engine.session() as session:
        return await session.evaluate(Script(source, ScriptForm.TRANSFORM), STATE, watched=watched)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("s => s.pin", {"pin"}),
        ("$.other.pin", {"other"}),
        ("s => s.plain", set[str]()),
        ("s => s", {"pin", "other"}),
        ("s => s.pin.length", {"pin"}),
        ("s => Object.keys(s)", set[str]()),
        ("s => Object.values(s)", {"pin", "other"}),
        ("s => ({...s})", {"pin", "other"}),
        ("s => JSON.stringify(s)", {"pin", "other"}),
        ("s => { for (const [k, v] of Object.entries(s)) { } return 1 }", {"pin", "other"}),
        ("({ plain, ...rest }) => plain", {"pin", "other"}),
        ("s => 'pin' in s", set[str]()),
        ("async s => s['p' + 'in']", {"pin"}),
    ],
)
async def test_names_that_are_read_are_told_however_they_are_read(
    source: str, names: set[str], engine: ScriptEngine
) -> None:
    assert (await evaluate(engine, source, *WATCHED)).names_read == names
    assert (await evaluate(engine, source)).names_read == set()


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("s => Object.keys(s).join()", "pin,plain,other"),
        ("s => { s.pin = 5; return s }", {**STATE, "pin": 5}),
        ("s => { delete s.pin; return 'pin' in s }", False),
        ("s => { s.other.pin = 4; return s.other }", {"pin": 4}),
        ("s => structuredClone(s)", STATE),
    ],
)
async def test_watching_changes_nothing_for_the_script(
    source: str, value: Json, engine: ScriptEngine
) -> None:
    assert (await evaluate(engine, source, *WATCHED, "absent")).value == value


async def test_what_was_read_in_a_session_counts_for_its_later_scripts(
    engine: ScriptEngine,
) -> None:
    keep = Script("s => { globalThis.kept = s.pin; throw 1 }", ScriptForm.FUNCTION)
    give = Script("() => globalThis.kept", ScriptForm.FUNCTION)
    async with engine.session() as session:
        with pytest.raises(RunError):
            await session.evaluate(keep, STATE, watched=WATCHED)
        given = await session.evaluate(give, STATE, watched=WATCHED)
    assert (given.value, given.names_read) == ("1", {"pin"})
