"""A system: an upstream that tools call, and where its credentials may go."""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = ["System"]


class System(BaseModel):
    """An upstream as a run sees it.

    `credentials` maps names to values and lives in memory only.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    id: str
    url: str = ""
    credentials: dict[str, str] = Field(default_factory=dict, repr=False)
    #: Further origins that may receive the credentials.
    allowed_origins: tuple[str, ...] = ()
    #: Whether private, loopback and link-local addresses are meant.
    allow_private: bool = False
