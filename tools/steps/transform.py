"""Transform steps: JavaScript over state and credentials."""

from tools.context import RunContext
from tools.errors import RunError
from tools.json_text import Json
from tools.model import Step, TransformConfig
from tools.scope import Scope
from tools.scripts import Script, ScriptForm, ScriptSession

__all__ = ["run_transform"]


async def run_transform(
    step: Step, config: TransformConfig, scope: Scope, session: ScriptSession, context: RunContext
) -> Json:
    """The value of the transform; undefined is null. Raises `RunError`."""
    script = Script(config.transform_code, ScriptForm.TRANSFORM)
    try:
        made = await session.evaluate(script, scope.values(), watched=scope.carriers)
        context.carry(step.id, scope.carried_by(made))
        return made.value
    except RunError as error:
        raise error.prefixed("Transform step failed: ") from None
