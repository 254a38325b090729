"""The items of a loop, some at once, their results in item order."""

from collections.abc import Awaitable, Callable, Sequence

import anyio

from tools.errors import RunError
from tools.json_text import Json, JsonObject
from tools.replay import UnansweredDetail

__all__ = ["DEFAULT_READING_CONCURRENCY", "run_items"]

#: Items at once of a step that only reads, unless said otherwise.
DEFAULT_READING_CONCURRENCY = 4


async def run_items(
    items: Sequence[Json],
    run_one: Callable[[int, Json], Awaitable[Json]],
    *,
    concurrency: int,
    keep_going: bool,
    partial: list[Json],
    on_done: Callable[[int], None],
) -> list[Json]:
    """The envelopes `{currentItem, data, success, error?}` of all items, in their order.

    Up to `concurrency` items run at once, in one cancel scope. A failing item ends the loop, unless
    `keep_going`: then its envelope says so. `partial` always holds the envelopes of the finished
    items in their order, so that a loop that is cut off leaves what it has done.

    An item of a replay that comes to a request without a recorded answer was cut off in the run
    that was recorded, when another item failed or that run ended: it only stops, and the loop fails
    of it, whether it keeps going or not, when no other failure has ended it.
    """
    envelopes: dict[int, Json] = {}
    failures: dict[int, RunError] = {}
    unanswered: dict[int, RunError] = {}
    positions = iter(range(len(items)))

    async def work(scope: anyio.CancelScope) -> None:
        for index in positions:
            try:
                data = await run_one(index, items[index])
                envelopes[index] = {"currentItem": items[index], "data": data, "success": True}
            except RunError as error:
                if isinstance(error.detail, UnansweredDetail):
                    error.detail.iteration = index
                    unanswered[index] = error
                    return
                envelopes[index] = _failed(items[index], error)
                if not keep_going:
                    error.detail.iteration = index
                    failures[index] = error
                    scope.cancel()
                    return
            on_done(len(envelopes))

    try:
        async with anyio.create_task_group() as group:
            for _ in range(min(concurrency, len(items))):
                group.start_soon(work, group.cancel_scope)
    finally:
        if not failures:
            envelopes |= {
                index: _failed(items[index], error) for index, error in unanswered.items()
            }
        partial[:] = [envelopes[index] for index in sorted(envelopes)]
    if ended_by := failures or unanswered:
        raise ended_by[min(ended_by)]
    return partial


def _failed(item: Json, error: RunError) -> JsonObject:
    return {"currentItem": item, "data": None, "success": False, "error": error.message}
