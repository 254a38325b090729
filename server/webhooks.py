"""Outgoing webhooks: an ended run is sent to an address, or starts another tool.

What is to be sent is recorded with the run, so a process that stops loses none; a delivery may
arrive twice, never not at all, and has the run's id to tell.
"""

import hashlib
import hmac
import logging
import random
import time
from collections.abc import Collection
from functools import partial
from typing import cast

import anyio

from server.active_run import RunRequest
from server.decoded import decoded
from server.service import (
    ArchivedToolError,
    IdempotencyConflictError,
    SecretInNameError,
    Service,
    UnknownRunError,
    UnknownToolError,
)
from server.views import tool_view
from storage.errors import StorageError
from storage.outbox import Delivery, Outbox
from storage.run_record import StoredRun
from tools.errors import RunError
from tools.faults import trace_of
from tools.http import OutgoingRequest
from tools.json_text import Json, JsonObject, encode_json
from tools.run import RequestSource, RunOptions, RunStatus, now_ms
from tools.threads import run_in_thread

__all__ = ["SIGNATURE_HEADER", "WebhookError", "WebhookSender", "check_target", "signature"]

_log = logging.getLogger(__name__)

SIGNATURE_HEADER = "X-Callslip-Signature"
_TOOL = "tool:"
_TIMEOUT_SECONDS = 30.0
#: 10 s, 20 s, 40 s … at most an hour apart: about seven hours in all.
_MOST_ATTEMPTS = 16
_FIRST_DELAY_SECONDS = 10.0
_LONGEST_DELAY_SECONDS = 3600.0
_AT_ONCE = 8
#: Longer than a delivery takes; after it another process may try.
_LEASE_MS = 120_000
_POLL_SECONDS = 1.0
_ERROR_CHARACTERS = 300
#: Whoever answers so does not want it, now or later.
_GONE = 410


class WebhookError(ValueError):
    """The target cannot be one; the message says what is valid."""


def check_target(target: str, tool_id: str, known_tools: Collection[str]) -> None:
    """Raises `WebhookError` unless the target may be told of runs of this tool."""
    if target.startswith(_TOOL):
        following = target.removeprefix(_TOOL)
        if following not in known_tools:
            raise WebhookError(f"webhookUrl: tool {following} not found")
        # What a webhook starts has no webhook of its own, so no longer circle is possible.
        if following == tool_id:
            raise WebhookError(f"webhookUrl: {tool_id} may not start itself")
        return
    if not target.startswith(("http://", "https://")) or len(target) > 2000:
        raise WebhookError(
            f"webhookUrl is {target[:60]!r}; valid are https://…, http://… and tool:<id>"
        )


def signature(secret: str, body: bytes, at: int) -> str:
    """`t=<seconds>,v1=<hex>`: HMAC-SHA256 over the time, a dot and the body."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={digest.hexdigest()}"


class WebhookSender:
    """Makes the deliveries of a home, until cancelled."""

    def __init__(self, service: Service, outbox: Outbox, secret: str | None) -> None:
        self._service = service
        self._outbox = outbox
        self._secret = secret
        self._wake = anyio.Event()
        service.runs_changed.append(self._woken)

    async def run(self) -> None:
        """Deliver what is due; a fault of one delivery is its own."""
        try:
            while True:
                try:
                    await self._deliver_due()
                except StorageError as error:
                    _log.warning("cannot look for deliveries: %s", error)
                with anyio.move_on_after(_POLL_SECONDS):
                    await self._wake.wait()
                self._wake = anyio.Event()
        finally:
            self._service.runs_changed.remove(self._woken)

    def _woken(self) -> None:
        self._wake.set()

    async def _deliver_due(self) -> None:
        while await self._outbox.has_due():
            due = await self._outbox.claim(_AT_ONCE, _LEASE_MS)
            async with anyio.create_task_group() as group:
                for delivery in due:
                    group.start_soon(self._deliver, delivery)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            run = await decoded(await self._service.get_run(delivery.run_id, with_large=True))
            if delivery.target.startswith(_TOOL):
                await self._start_tool(delivery, run)
            else:
                await self._send(delivery, run)
        except UnknownRunError:
            await self._outbox.end(delivery, "dead", "the run was deleted")
        except StorageError as error:
            _log.warning("delivery %d waits: %s", delivery.delivery_id, error)
        except Exception as fault:
            # A fault of one delivery ends neither the others nor the server.
            _log.error("a fault ended delivery %d\n%s", delivery.delivery_id, trace_of(fault))
            await self._failed(delivery, f"callslip itself failed: {type(fault).__name__}")

    async def _send(self, delivery: Delivery, run: StoredRun) -> None:
        body = await run_in_thread(partial(encode_json, tool_view(run)))
        headers = [("Content-Type", "application/json"), ("X-Callslip-Run", run.run_id)]
        if self._secret is not None:
            headers.append((SIGNATURE_HEADER, signature(self._secret, body, int(time.time()))))
        engines = self._service.engines
        try:
            received = await engines.http.exchange(
                OutgoingRequest("POST", delivery.target, headers, body),
                timeout_seconds=_TIMEOUT_SECONDS,
                policy=engines.address_policy,
            )
        except RunError as error:
            await self._failed(delivery, error.message)
            return
        if received.status < 300:
            await self._outbox.end(delivery, "delivered")
        elif received.status == _GONE:
            await self._outbox.end(delivery, "dead", "HTTP 410: it is not wanted any more")
        else:
            await self._failed(delivery, f"HTTP {received.status}")

    async def _failed(self, delivery: Delivery, error: str) -> None:
        # An error may name the address, and that may hold a token.
        error = error.replace(delivery.target, "the address")[:_ERROR_CHARACTERS]
        if delivery.attempts + 1 >= _MOST_ATTEMPTS:
            _log.warning("delivery %d is given up: %s", delivery.delivery_id, error)
            await self._outbox.end(delivery, "dead", error)
            return
        delay = min(_FIRST_DELAY_SECONDS * 2**delivery.attempts, _LONGEST_DELAY_SECONDS)
        jitter = random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, keeps no secret
        await self._outbox.try_again(delivery, error, now_ms() + round(delay * jitter * 1000))

    async def _start_tool(self, delivery: Delivery, run: StoredRun) -> None:
        if run.status is not RunStatus.SUCCESS:
            await self._outbox.end(delivery, "skipped", f"the run {run.status}")
            return
        request = RunRequest(
            delivery.target.removeprefix(_TOOL),
            _inputs_of(run),
            RequestSource.TOOL_CHAIN,
            RunOptions.model_validate({"traceId": run.trace_id, "mode": run.execution_mode}),
            idempotency_key=f"delivery-{delivery.delivery_id}",
            user_id=run.user_id,
            parent_run_id=run.run_id,
            ancestors=(*delivery.chain, run.tool_id),
            is_async=True,
        )
        try:
            await self._service.start(request)
        except (
            UnknownToolError,
            ArchivedToolError,
            IdempotencyConflictError,
            SecretInNameError,
        ) as error:
            await self._outbox.end(delivery, "dead", str(error))
            return
        await self._outbox.end(delivery, "delivered")


def _inputs_of(run: StoredRun) -> JsonObject:
    """The result as inputs; one that is no object stands under `result`."""
    value: Json = run.data
    return cast("JsonObject", value) if isinstance(value, dict) else {"result": value}
