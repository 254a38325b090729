"""A script as a tool's author wrote it, and the ways its text is read."""

from dataclasses import dataclass
from enum import Enum

__all__ = ["Script", "ScriptForm"]


class ScriptForm(Enum):
    """How the text of a script becomes a value. The numbers are those of the worker's frames."""

    #: A function called with the scope: an expression in a template.
    FUNCTION = 0
    #: Selectors, transform steps and `outputTransform`: a function of the data; or an expression
    #: over `sourceData` (aliases `input` and `$`); `.a.b` is `sourceData.a.b`.
    TRANSFORM = 1
    #: A function of `(response, pageInfo, sourceData)`, an expression over those names, or a body
    #: that starts with `return`.
    STOP_CONDITION = 2


@dataclass(frozen=True, slots=True)
class Script:
    """The source of a script and the form it is read in."""

    source: str
    form: ScriptForm
