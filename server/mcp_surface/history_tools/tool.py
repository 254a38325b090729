"""What a tool of the history is, and what all of them share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from server.service import Service
from tools.json_text import Json, JsonObject, encode_json_text, nests_deeply
from tools.schema import CompiledSchema, compile_schema

__all__ = ["RUN_ID", "HistoryTool", "HistoryToolError", "fits", "history_tool"]

RUN_ID: JsonObject = {"type": "string", "minLength": 1, "description": "The run's id."}


class HistoryToolError(Exception):
    """The call cannot be answered; the message says what is valid."""


#: Arguments and the inline limit in characters to structured content.
Call = Callable[[Service, JsonObject, int], Awaitable[JsonObject]]


@dataclass(frozen=True)
class HistoryTool:
    """A tool of ours. `call` gives its structured content; raises `HistoryToolError`."""

    name: str
    #: Whether it leaves everything as it is.
    reads: bool
    wire: JsonObject
    call: Call
    _validator: list[CompiledSchema]

    def problems(self, arguments: JsonObject) -> list[str]:
        """What is wrong with the arguments, in words."""
        if not self._validator:
            self._validator.append(compile_schema(self.wire["inputSchema"]))
        found = self._validator[0].problems(arguments)
        return [str(problem) for problem in found]


def history_tool(
    name: str,
    title: str,
    description: str,
    properties: JsonObject,
    required: list[str],
    output: JsonObject,
    call: Call,
    *,
    reads: bool = True,
) -> HistoryTool:
    """A tool with its entry in `tools/list`; `output` is the schema of its structured content."""
    wire: JsonObject = {
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        },
        "outputSchema": output,
        "annotations": {
            "title": title,
            "readOnlyHint": reads,
            "openWorldHint": False,
            **({} if reads else {"destructiveHint": True, "idempotentHint": True}),
        },
    }
    return HistoryTool(name, reads, wire, call, [])


def fits(value: Json, inline_limit: int) -> bool:
    """Whether an answer may be given as it is: short enough, and for every parser flat enough."""
    return len(encode_json_text(value)) <= inline_limit and not nests_deeply(value)
