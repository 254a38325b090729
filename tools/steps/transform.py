"""Transform steps: JavaScript over state and credentials."""

from tools.errors import RunError
from tools.json_text import Json
from tools.model import TransformConfig
from tools.scope import Scope
from tools.scripts import Script, ScriptForm, ScriptSession

__all__ = ["run_transform"]


async def run_transform(config: TransformConfig, scope: Scope, session: ScriptSession) -> Json:
    """The value of the transform; undefined is null. Raises `RunError`."""
    script = Script(config.transform_code, ScriptForm.TRANSFORM)
    try:
        return (await session.evaluate(script, scope.values())).value
    except RunError as error:
        raise error.prefixed("Transform step failed: ") from None
