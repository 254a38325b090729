"""A tool made ready to run: schemas compiled once for each version, when they are first needed."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self, cast

from tools.json_text import JsonObject
from tools.model import Tool
from tools.schema import CompiledSchema, compile_schema, fill_defaults, has_default, loosen

__all__ = ["PreparedTool"]


@dataclass(frozen=True)
class PreparedTool:
    """A typed tool; `definition` is its JSON as stored."""

    tool: Tool
    definition: JsonObject

    @classmethod
    def of(cls, definition: JsonObject) -> Self:
        """Read a stored definition. Raises `ValueError` when it is not one."""
        return cls(Tool.model_validate(definition), definition)

    @cached_property
    def input_schema(self) -> CompiledSchema | None:
        """Of the inputs, or None when all are taken. Raises `ValueError` when it is no schema."""
        schema = self.tool.input_schema
        return compile_schema(schema) if schema else None

    @cached_property
    def _has_defaults(self) -> bool:
        return has_default(self.tool.input_schema)

    def with_defaults(self, inputs: JsonObject) -> JsonObject:
        """The inputs with the defaults of those that are absent."""
        if not self._has_defaults:
            return inputs
        return cast("JsonObject", fill_defaults(self.tool.input_schema, inputs))

    @cached_property
    def output_schema(self) -> CompiledSchema | None:
        """Of the result, loosened. Raises `ValueError` when it is no schema."""
        schema = self.tool.output_schema
        return None if schema in (None, {}) else compile_schema(loosen(schema))
