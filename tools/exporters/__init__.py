"""Stored tools in the formats of others: one file a format.

Nothing secret can leave: a definition holds no credential, and systems are given without theirs.
"""

from dataclasses import dataclass

from tools.json_text import Json

__all__ = ["Exported"]


@dataclass(frozen=True)
class Exported:
    """A document, or text, and what of the tools it could not say."""

    content: Json
    #: What is not expressed, each beginning with the tool and step.
    left_out: tuple[str, ...]
