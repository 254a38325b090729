"""Opens everything a server or a command needs, and closes it. The one place that constructs."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from server.service import Service
from server.settings import Settings
from server.telemetry import open_spans
from server.version import VERSION
from storage.api_keys import ApiKeyStore
from storage.keys import KeyKeeper, KeyPlaces
from storage.objects import ObjectStore
from storage.opening import open_database
from storage.owners import hold_ownership
from storage.runs import RunStore
from storage.systems import SystemStore
from storage.tools import ToolStore
from tools.addresses import AddressPolicy
from tools.context import Engines
from tools.decoders import DecodeLimits
from tools.http import HttpClient
from tools.scripts import ScriptEngine

__all__ = ["open_service", "warn_if_read_only"]

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncGenerator[Service]:
    """The service of a home, with its background work under way; it may only be readable.

    On leaving, runs that are still running end `aborted`, and everything is closed. Raises
    `storage.errors.HomeError`.
    """
    async with (
        open_database(settings.database_path, durability=settings.durability) as database,
        HttpClient(
            user_agent=f"callslip/{VERSION}",
            proxies=settings.proxies,
            max_response_bytes=settings.max_response_bytes,
        ) as http,
        ScriptEngine(workers=settings.script_workers) as scripts,
        open_spans(settings) as spans,
    ):
        owns_runs = not database.is_read_only
        with hold_ownership(settings.locks_directory, owns_runs=owns_runs) as owner:
            engines = Engines(
                http,
                scripts,
                AddressPolicy.PUBLIC if settings.allow_private is False else AddressPolicy.PRIVATE,
                settings.record_exchanges,
                decode_limits=DecodeLimits(max_bytes=settings.max_response_bytes),
                spans=spans,
            )
            service = Service(
                database,
                ToolStore(database),
                RunStore(database, ObjectStore(settings.results_directory, settings.results_url)),
                SystemStore(database, KeyKeeper(KeyPlaces(settings.master_key, settings.key_file))),
                ApiKeyStore(database),
                owner,
                engines,
                settings,
            )
            async with anyio.create_task_group() as group:
                await service.open(group)
                try:
                    yield service
                finally:
                    await service.close()
                    group.cancel_scope.cancel()


def warn_if_read_only(service: Service) -> None:
    """Say it in the log of a server, whose callers are told when they call."""
    if (why := service.why_read_only) is not None:
        _log.warning("%s", why)
