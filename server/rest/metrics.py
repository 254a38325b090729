"""`/metrics`: counts for Prometheus, and for what reads its format."""

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.responses import Response

from server.rest.asking import Asked, needs
from server.version import VERSION
from storage.api_keys import Scope
from storage.counters import RunCount

__all__ = ["metrics"]

metrics = APIRouter(tags=["server"])


@metrics.get(
    "/metrics",
    dependencies=[needs(Scope.READ, whole=True)],
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
async def get_metrics(request: Request, asked: Asked) -> Response:
    """Runs by tool, status and source, and how many wait, for Prometheus."""
    counts = _Counts(
        tools=len(await asked.tools.all()),
        runs=await asked.counters.runs(),
        waiting=await asked.counters.waiting(),
    )
    # Made for this answer: the counts are the database's, not this process's.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(counts)
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), headers={"content-type": media_type})


class _Counts(Collector):
    def __init__(self, tools: int, runs: Sequence[RunCount], waiting: int) -> None:
        self._tools = tools
        self._runs = runs
        self._waiting = waiting

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("callslip", "The version that serves.", {"version": VERSION})
        # All are gauges: pruning and deleting make them smaller.
        yield GaugeMetricFamily("callslip_tools", "Stored tools.", self._tools)
        runs = GaugeMetricFamily(
            "callslip_runs",
            "Runs in the history; retention takes old ones out.",
            labels=("tool", "status", "source"),
        )
        for one in self._runs:
            runs.add_metric((one.tool_id, one.status, one.request_source), one.runs)
        yield runs
        yield GaugeMetricFamily(
            "callslip_runs_waiting", "Accepted runs that have not begun.", self._waiting
        )
