"""One page as paginators see it."""

from collections.abc import Mapping
from dataclasses import dataclass

from tools.json_text import Json

__all__ = ["Page"]


@dataclass(frozen=True)
class Page:
    """A decoded answer. `headers` has lower-case names, `url` is the one that answered."""

    data: Json
    headers: Mapping[str, str]
    status: int
    url: str
