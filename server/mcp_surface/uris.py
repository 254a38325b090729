"""`callslip://` addresses: the REST path with `callslip://` in place of `/v1/`."""

from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

__all__ = ["TEMPLATES", "TOOL_FORMAT_URI", "Address", "parse_uri", "run_uri"]

SCHEME = "callslip"


@dataclass(frozen=True)
class Address:
    """A parsed address: path segments (decoded) and single-valued parameters."""

    segments: tuple[str, ...]
    parameters: dict[str, str]


@dataclass(frozen=True)
class UriTemplate:
    """One kind of resource, for `resources/templates/list`."""

    template: str
    name: str
    title: str
    description: str
    #: None where it differs from one to the next.
    mime_type: str | None = "application/json"


#: A text for models that write tools.
TOOL_FORMAT_URI = f"{SCHEME}://tool-format"

TEMPLATES = (
    UriTemplate(
        "callslip://runs{?toolId,status,requestSources,search,startedAfter,page,limit}",
        "runs",
        "Runs",
        "Recorded runs, newest first, without step data. status: running, success, failed, "
        "aborted; requestSources: comma-separated; search: words of inputs, error and result; "
        "startedAfter: RFC 3339.",
    ),
    UriTemplate(
        "callslip://runs/{runId}{?view,summary,nodeIds}",
        "run",
        "One run",
        "The record of a run: inputs, steps with their requests, result, error, timing. "
        "view: tool (the default) or workflow, a graph of nodes with their states; summary=true "
        "leaves out what grows with the data; nodeIds (comma-separated) keeps these nodes of the "
        "workflow view.",
    ),
    UriTemplate(
        "callslip://runs/{runId}/results{?path,fields,offset,limit}",
        "results",
        "Result of a run",
        "The bare JSON result; with path (JSONPath), fields, offset or limit a part of it.",
    ),
    UriTemplate(
        "callslip://runs/{runId}/steps/{stepId}{?path,offset,limit}",
        "step",
        "One step of a run",
        "Data and requests of one step.",
    ),
    UriTemplate(
        "callslip://runs/{runId}/files/{key}",
        "file",
        "File of a run",
        "A binary answer that a step received, by the key that the step shows.",
        mime_type=None,
    ),
    UriTemplate(
        "callslip://systems/{systemId}{?environment}",
        "system",
        "System",
        "An upstream as stored; of its credentials only that they are set.",
    ),
    UriTemplate(
        "callslip://tools/{toolId}", "tool", "Stored tool", "The definition of a stored tool."
    ),
)


def run_uri(run_id: str) -> str:
    """The address of a run."""
    return f"{SCHEME}://runs/{quote(run_id, safe='')}"


def parse_uri(uri: str) -> Address | None:
    """The address of a `callslip://` URI, or None for any other text."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme != SCHEME or not parts.netloc:
        return None
    path = [unquote(segment) for segment in parts.path.split("/") if segment]
    parameters = {
        name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()
    }
    return Address((unquote(parts.netloc), *path), parameters)
