"""JSON Schema 2020-12: checked when stored, compiled once, loosened for results, published."""

from tools.schema.check import check_schema
from tools.schema.compiled import FORMATS, CompiledSchema, compile_schema
from tools.schema.defaults import fill_defaults, has_default
from tools.schema.loosen import loosen
from tools.schema.published import dereference

__all__ = [
    "FORMATS",
    "CompiledSchema",
    "check_schema",
    "compile_schema",
    "dereference",
    "fill_defaults",
    "has_default",
    "loosen",
]
