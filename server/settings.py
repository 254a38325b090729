"""Settings: the environment, read once and passed down as values."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.request import getproxies

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from storage.locks import LOCKS_FOLDER

__all__ = ["PREFIX", "Settings", "SettingsError"]

PREFIX = "CALLSLIP_"
#: What is read from other variables than ours.
_NOT_GIVEN = frozenset({"proxies", "exports_traces"})
_EXPORTERS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class SettingsError(Exception):
    """A setting has a value it cannot have; the message names it."""


class Settings(BaseModel):
    """Every setting, with its default; the environment gives each under `CALLSLIP_<NAME>`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: The data directory.
    home: Path = Field(default_factory=lambda: _default_home())
    #: Where the key file is, apart from the data.
    config_directory: Path = Field(default_factory=lambda: _default_config_directory())
    #: Base64 of 32 bytes, in place of the key file.
    master_key: Annotated[str | None, Field(repr=False)] = None
    #: An admin key of `serve --http`, for this process only; never stored.
    api_key: Annotated[str | None, Field(min_length=1, repr=False)] = None
    #: Whether private and loopback addresses may be called; unset, all but `serve --http` may.
    allow_private: bool | None = None
    #: Async runs that are executed at once; the others wait for their turn.
    async_runs: Annotated[int, Field(ge=1, le=1000)] = 8
    #: Seconds after which a call is answered with a handle while its run goes on.
    soft_deadline_seconds: Annotated[float, Field(gt=0)] = 45.0
    #: `full` syncs each commit to the disk: a run survives a power cut.
    durability: Literal["normal", "full"] = "normal"
    #: Days after which runs are deleted; 0 keeps them.
    retention_days: Annotated[float, Field(ge=0)] = 90.0
    #: The same for runs that ended this way, in place of the above.
    retention_days_success: Annotated[float, Field(ge=0)] | None = None
    retention_days_failed: Annotated[float, Field(ge=0)] | None = None
    retention_days_aborted: Annotated[float, Field(ge=0)] | None = None
    #: Size of the history above which the oldest runs are deleted; 0 lets it grow.
    retention_gigabytes: Annotated[float, Field(ge=0)] = 5.0
    #: Where large results go, `s3://bucket/prefix`; files of the home when absent.
    results_url: Annotated[str, Field(pattern="^s3://[^/]+(/.*)?$")] | None = None
    #: With which outgoing webhooks are signed; without it they are not.
    webhook_secret: Annotated[str | None, Field(min_length=16, repr=False)] = None
    #: Whether clients are told that there are new runs.
    announce_runs: bool = True
    #: Longer results are answered with a preview.
    inline_limit_characters: Annotated[int, Field(ge=1000)] = 24_000
    #: Whether requests and answers are kept with the run.
    record_exchanges: bool = True
    #: The longest answer of an upstream, decompressed.
    max_response_bytes: Annotated[int, Field(gt=0)] = 50 * 1024 * 1024
    #: Processes that run JavaScript.
    script_workers: Annotated[int, Field(ge=1, le=32)] = 2
    #: Whether answers carry a `resource_link`; a few hosts refuse the whole answer for one.
    resource_links: bool = True
    #: Seconds between looks for what other processes wrote.
    poll_seconds: Annotated[float, Field(gt=0, le=1)] = 0.5
    #: Whether an exporter of OpenTelemetry is configured, in its own variables.
    exports_traces: bool = False
    proxies: dict[str, str] = Field(default_factory=getproxies)

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Settings from the environment. Raises `SettingsError`."""
        environment = os.environ if environment is None else environment
        given: dict[str, object] = {
            name: environment[f"{PREFIX}{name.upper()}"]
            for name in cls.model_fields
            if environment.get(f"{PREFIX}{name.upper()}") and name not in _NOT_GIVEN
        }
        given["exports_traces"] = any(environment.get(name) for name in _EXPORTERS)
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            lines = [
                f"{PREFIX}{name.upper()}: {one['msg']} (seen: {cls._shown(name, one['input'])})"
                for one in error.errors(include_url=False)
                for name in [str(one["loc"][0])]
            ]
            raise SettingsError("\n".join(lines)) from None

    @classmethod
    def _shown(cls, name: str, value: object) -> str:
        """What a message may say of a value; of a secret only that there is one."""
        return repr(value) if cls.model_fields[name].repr else "a secret, not shown"

    @property
    def key_file(self) -> Path:
        return self.config_directory / "master.key"

    @property
    def database_path(self) -> Path:
        return self.home / "callslip.db"

    @property
    def results_directory(self) -> Path:
        return self.home / "results"

    @property
    def locks_directory(self) -> Path:
        return self.home / LOCKS_FOLDER


def _default_config_directory() -> Path:
    from platformdirs import user_config_path

    # On Windows and macOS configuration and data share a place: a copy of the home must not hold
    # the key of what is sealed in it.
    directory = user_config_path("callslip", appauthor=False)
    is_shared = directory == _default_home()
    return directory.with_name("callslip-config") if is_shared else directory


def _default_home() -> Path:
    from platformdirs import user_data_path

    return user_data_path("callslip", appauthor=False)
