"""A system: an upstream, how it is signed in to, and where its credentials may go."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tools.urls import origin_of

__all__ = [
    "ApiKeyAuth",
    "Auth",
    "AwsSigV4Auth",
    "BasicAuth",
    "BearerAuth",
    "CredentialSource",
    "DigestAuth",
    "Environment",
    "OAuth2Auth",
    "RateLimit",
    "System",
    "TlsFiles",
    "auth_credential_names",
    "signs_in_by_browser",
]

Environment = Literal["prod", "dev"]


class Wire(BaseModel):
    """Base of everything that is read from and written to camelCase JSON."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class BearerAuth(Wire):
    """`Authorization: Bearer <credential>`."""

    type: Literal["bearer"]
    credential: str


class BasicAuth(Wire):
    """`Authorization: Basic` of two credentials."""

    type: Literal["basic"]
    username: str
    password: str


class ApiKeyAuth(Wire):
    """A credential in a header or a query parameter of its own."""

    type: Literal["apiKey"]
    place: Annotated[Literal["header", "query"], Field(alias="in")]
    name: str
    credential: str


class OAuth2Auth(Wire):
    """OAuth 2; `client_id`, `client_secret` and `refresh_token` name credentials."""

    type: Literal["oauth2"]
    grant: Literal["client_credentials", "refresh_token", "authorization_code"]
    token_url: str
    authorization_url: str | None = None
    client_id: str
    client_secret: str | None = None
    scopes: tuple[str, ...] = ()
    refresh_token: str | None = None
    client_auth: Literal["body", "basic"] = "body"


class DigestAuth(Wire):
    """HTTP digest (RFC 7616) of two credentials."""

    type: Literal["digest"]
    username: str
    password: str


class AwsSigV4Auth(Wire):
    """AWS signature version 4; keys and token name credentials."""

    type: Literal["aws_sigv4"]
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    region: str
    service: str


Auth = Annotated[
    BearerAuth | BasicAuth | ApiKeyAuth | OAuth2Auth | DigestAuth | AwsSigV4Auth,
    Field(discriminator="type"),
]


class CredentialSource(Wire):
    """Where a credential is read from at run time; its value is never stored."""

    model_config = ConfigDict(extra="forbid")

    from_env: str | None = None
    from_command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    from_file: str | None = None


class RateLimit(Wire):
    """How much a system may be asked at most; shared by the runs of a process."""

    per_second: Annotated[float, Field(gt=0)] | None = None
    concurrency: Annotated[int, Field(ge=1)] | None = None


class TlsFiles(Wire):
    """PEM files: who is trusted beside the operating system's store, and who we are."""

    model_config = ConfigDict(extra="forbid")

    ca: str | None = None
    cert: str | None = None
    key: str | None = None


class System(Wire):
    """An upstream. `credentials` hold values only while a run is under way."""

    id: str
    name: str | None = None
    url: str = ""
    auth: Auth | None = None
    credentials: Annotated[dict[str, str], Field(repr=False)] = Field(default_factory=dict)
    #: Further origins that may receive the credentials.
    allowed_origins: tuple[str, ...] = ()
    #: Whether private, loopback and link-local addresses are meant.
    allow_private: bool = False
    rate_limit: RateLimit | None = None
    specific_instructions: str | None = None
    environment: Environment = "prod"
    tls: TlsFiles | None = None

    def may_receive_credentials(self, origin: str | None) -> bool:
        """Whether a request to this origin may carry the credentials."""
        own = {origin_of(self.url), *map(origin_of, self.allowed_origins)}
        return origin is not None and origin in own


def signs_in_by_browser(system: System) -> bool:
    """Whether a person has to sign in to a system once."""
    return isinstance(system.auth, OAuth2Auth) and system.auth.grant == "authorization_code"


def auth_credential_names(auth: Any, *, optional: bool = False) -> list[str]:
    """The names of the credentials that an auth kind needs, or with `optional` may use."""
    match auth:
        case BearerAuth() | ApiKeyAuth():
            return [auth.credential]
        case BasicAuth() | DigestAuth():
            return [auth.username, auth.password]
        case OAuth2Auth():
            names = [auth.client_id, auth.client_secret, auth.refresh_token if optional else None]
            return [name for name in names if name is not None]
        case AwsSigV4Auth():
            names = [auth.access_key_id, auth.secret_access_key]
            return [*names, auth.session_token] if optional and auth.session_token else names
        case _:
            return []
