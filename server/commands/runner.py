"""Commands as async functions over an open service, with their errors as exit codes."""

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar, cast

import anyio

from server.commands.output import HOME, NOT_FOUND, USAGE, fail
from server.settings import Settings, SettingsError

if TYPE_CHECKING:
    from server.service import Service

__all__ = ["loop_options", "read_settings", "run_with_service", "unwrapped"]

T = TypeVar("T")


def read_settings() -> Settings:
    """The settings, or exit 2 with the one that is wrong."""
    try:
        return Settings.read()
    except SettingsError as error:
        fail(str(error), USAGE)


def loop_options() -> dict[str, object]:
    """How the event loop of a server is made: by uvloop where that is installed."""
    return {"use_uvloop": find_spec("uvloop") is not None}


def run_with_service(work: "Callable[[Service], Awaitable[T]]") -> T:
    """Open the home, do the work, close it. Known errors end the program with their exit code."""
    from server.app import open_service
    from server.service import (
        ArchivedToolError,
        SecretInNameError,
        UnknownRunError,
        UnknownToolError,
    )
    from server.tool_library import UnknownVersionError
    from storage.errors import RunExistsError, StorageError

    settings = read_settings()

    async def main() -> T:
        async with open_service(settings) as service:
            return await work(service)

    try:
        return unwrapped(lambda: anyio.run(main))
    except (UnknownToolError, UnknownRunError, UnknownVersionError) as error:
        fail(str(error), NOT_FOUND)
    except (ArchivedToolError, RunExistsError, SecretInNameError) as error:
        fail(str(error), USAGE)
    except StorageError as error:
        fail(str(error), HOME)


def unwrapped(work: Callable[[], T]) -> T:
    """Task groups wrap the one error that ended them; take it out again."""
    try:
        return work()
    except BaseExceptionGroup as group:
        raise _only(group) from None


def _only(error: BaseException) -> BaseException:
    if not isinstance(error, BaseExceptionGroup):
        return error
    inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
    return _only(inner[0]) if len(inner) == 1 else cast("BaseException", error)
