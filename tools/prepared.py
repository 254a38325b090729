"""A tool made ready to run: schemas compiled once for each version."""

from dataclasses import dataclass
from typing import Self

from tools.json_text import JsonObject
from tools.model import Tool
from tools.schema import CompiledSchema, compile_schema, loosen

__all__ = ["PreparedTool"]


@dataclass(frozen=True)
class PreparedTool:
    """A tool with its compiled schemas; `definition` is its JSON as stored."""

    tool: Tool
    definition: JsonObject
    input_schema: CompiledSchema | None
    output_schema: CompiledSchema | None

    @classmethod
    def of(cls, definition: JsonObject) -> Self:
        """Read a stored definition. Raises `ValueError` when it is not one."""
        tool = Tool.model_validate(definition)
        declares_output = tool.output_schema not in (None, {})
        return cls(
            tool,
            definition,
            compile_schema(tool.input_schema) if tool.input_schema else None,
            compile_schema(loosen(tool.output_schema)) if declares_output else None,
        )
