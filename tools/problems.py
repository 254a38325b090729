"""A problem in something a person or a model wrote: where, what was seen, what is valid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Problem", "render_problems"]


@dataclass(frozen=True)
class Problem:
    """One problem of a document.

    `path` is a JSON path from the document's root (`steps[0].config.url`; empty for the root),
    `message` a sentence that stands alone beside it. Warnings do not refuse the document.
    """

    path: str
    message: str
    seen: str | None = None
    valid: str | None = None
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"

    def wire(self) -> dict[str, Any]:
        """The JSON form, absent fields omitted."""
        fields = {
            "path": self.path,
            "seen": self.seen,
            "valid": self.valid,
            "message": self.message,
            "hint": self.hint,
            "severity": self.severity,
        }
        return {key: value for key, value in fields.items() if value is not None}

    def __str__(self) -> str:
        text = f"{self.path or '(root)'}: {self.message}"
        if self.seen is not None:
            text += f"; seen: {self.seen}"
        if self.valid is not None:
            text += f"; valid: {self.valid}"
        if self.hint is not None:
            text += f". {self.hint}"
        return text


def render_problems(problems: Sequence[Problem]) -> str:
    """One line a problem."""
    return "\n".join(str(problem) for problem in problems)
