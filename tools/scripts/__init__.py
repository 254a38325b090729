"""JavaScript of tools: evaluated in worker processes within limits, simple paths without them."""

from tools.scripts.engine import LogSink, ScriptEngine, ScriptSession
from tools.scripts.limits import DEFAULT_LIMITS, STOP_CONDITION_LIMITS, ScriptLimits
from tools.scripts.paths import NOT_SIMPLE, UNDEFINED, compile_path, read_path
from tools.scripts.script import Script, ScriptForm
from tools.scripts.text import js_text
from tools.scripts.value import ScriptValue

__all__ = [
    "DEFAULT_LIMITS",
    "NOT_SIMPLE",
    "STOP_CONDITION_LIMITS",
    "UNDEFINED",
    "LogSink",
    "Script",
    "ScriptEngine",
    "ScriptForm",
    "ScriptLimits",
    "ScriptSession",
    "ScriptValue",
    "compile_path",
    "js_text",
    "read_path",
]
