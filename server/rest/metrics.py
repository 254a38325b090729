"""`/metrics`: counts in the text format of Prometheus."""

from collections.abc import Iterable, Iterator, Mapping

from fastapi import APIRouter
from starlette.responses import PlainTextResponse

from server.rest.asking import Asked, needs
from server.version import VERSION
from storage.api_keys import Scope
from storage.counters import RunCount

__all__ = ["metrics"]

_Samples = Iterable[tuple[Mapping[str, str], int]]
_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

metrics = APIRouter(tags=["server"])


@metrics.get(
    "/metrics",
    dependencies=[needs(Scope.READ, whole=True)],
    response_class=PlainTextResponse,
)
async def get_metrics(asked: Asked) -> PlainTextResponse:
    """Runs by tool, status and source, and how many wait, for Prometheus."""
    lines = [
        *_family("callslip_info", "The version that serves.", [({"version": VERSION}, 1)]),
        *_family("callslip_tools", "Stored tools.", [({}, len(await asked.list_tools()))]),
        *_family(
            "callslip_runs",
            "Runs in the history; retention takes old ones out.",
            map(_labelled, await asked.counters.runs()),
        ),
        *_family(
            "callslip_runs_waiting",
            "Accepted runs that have not begun.",
            [({}, await asked.counters.waiting())],
        ),
    ]
    return PlainTextResponse("\n".join(lines) + "\n", media_type=_MEDIA_TYPE)


def _labelled(count: RunCount) -> tuple[dict[str, str], int]:
    labels = {"tool": count.tool_id, "status": count.status, "source": count.request_source}
    return labels, count.runs


def _family(name: str, text: str, samples: _Samples) -> Iterator[str]:
    # All are gauges: pruning and deleting make them smaller.
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        written = ",".join(f'{key}="{_escaped(one)}"' for key, one in labels.items())
        yield f"{name}{{{written}}} {value}" if written else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
