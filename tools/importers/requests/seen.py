"""A request as it was found, whatever wrote it down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tools.json_text import Json

__all__ = ["BodyOperation", "SeenAuth", "SeenBody", "SeenPart", "SeenRequest"]


@dataclass(frozen=True)
class BodyOperation:
    """What is asked for; `identity` is equal for bodies that differ in values alone."""

    identity: str
    name: str | None
    #: The fields that say so, which are no inputs.
    said_by: frozenset[str] = frozenset()
    #: It is the value of a field that could be an ordinary one.
    is_value: bool = False


@dataclass(frozen=True)
class SeenAuth:
    """A sign-in; `values` are the credentials by their names, empty where they are not known."""

    kind: Literal["bearer", "basic", "digest", "apiKey", "oauth2", "aws_sigv4"]
    values: dict[str, str] = field(repr=False)
    #: Further fields of the auth of a system, such as `tokenUrl`; nothing of them is secret.
    settings: dict[str, Json] = field(default_factory=dict[str, Json])
    #: User or password are known to be empty, which no credential can be.
    is_half: bool = False

    @classmethod
    def basic(cls, username: str, password: str) -> "SeenAuth":
        """The pair that a request sent; both are empty where it is not known."""
        values = {"username": username, "password": password}
        return cls("basic", values, is_half=bool(username) != bool(password))


@dataclass(frozen=True)
class SeenPart:
    """What a field of a multipart form has beside its value; a file's content is not known."""

    is_file: bool
    file_name: str | None = None
    content_type: str | None = None


@dataclass(frozen=True)
class SeenBody:
    """A body: form fields, or text of which a JSON value may be known."""

    media_type: str | None
    text: str = field(default="", repr=False)
    fields: tuple[tuple[str, str], ...] | None = field(default=None, repr=False)
    #: The fields, by their position, that are more than a text.
    parts: Mapping[int, SeenPart] = field(default_factory=dict[int, SeenPart])


@dataclass
class SeenRequest:
    """One request. Its texts may hold references (`text.py`) to variables."""

    place: str
    method: str
    #: The whole url; its query may also stand in `query`.
    url: str = field(repr=False)
    query: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]], repr=False)
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]], repr=False)
    body: SeenBody | None = None
    auth: SeenAuth | None = None
    name: str | None = None
    description: str | None = None
    folder: str | None = None
    #: What it is known by when the document is imported again; else method and path.
    key: str | None = None
    #: Query parameters that not every request of this kind had.
    optional: frozenset[str] = frozenset()
    #: What it asks for, where one url has many operations.
    operation: BodyOperation | None = None
    #: The fields of a step that limit a request, such as `timeoutMs`.
    limits: dict[str, Json] = field(default_factory=dict[str, Json])
