"""Tools of ours beside the stored ones: their entries in `tools/list`, and the check of a call."""

from dataclasses import dataclass
from functools import cached_property

from tools.json_text import JsonObject
from tools.schema import CompiledSchema, compile_schema

__all__ = ["OwnTool", "OwnToolError", "own_wire"]


class OwnToolError(Exception):
    """The call cannot be answered; the message says what is valid."""


@dataclass(frozen=True)
class OwnTool:
    """A tool that is code; `wire` is its entry."""

    wire: JsonObject

    @property
    def name(self) -> str:
        return self.wire["name"]

    @property
    def reads(self) -> bool:
        """Whether it leaves everything as it is."""
        return self.wire["annotations"]["readOnlyHint"]

    @cached_property
    def _input_schema(self) -> CompiledSchema:
        return compile_schema(self.wire["inputSchema"])

    def problems(self, arguments: JsonObject) -> list[str]:
        """What is wrong with the arguments, in words."""
        return [str(problem) for problem in self._input_schema.problems(arguments)]


def own_wire(
    name: str,
    title: str,
    description: str,
    properties: JsonObject,
    required: list[str],
    output: JsonObject | None,
    annotations: JsonObject,
) -> JsonObject:
    """An entry in `tools/list`; `output` is the schema of the structured content."""
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
        "annotations": {"title": title, **annotations},
    }
    if output is not None:
        wire["outputSchema"] = output
    return wire
