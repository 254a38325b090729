"""Requests that somebody made or wrote down, as tools: what curl, HAR, Postman and Arazzo share.

`seen.py` is a request as it was found, `systems.py` gives its secrets (`importers/secrets.py`)
their places in systems, `build.py` makes tools of the rest.
"""

from tools.importers.requests.build import BuildOptions, build_result
from tools.importers.requests.seen import (
    BodyOperation,
    SeenAuth,
    SeenBody,
    SeenPart,
    SeenRequest,
)

__all__ = [
    "BodyOperation",
    "BuildOptions",
    "SeenAuth",
    "SeenBody",
    "SeenPart",
    "SeenRequest",
    "build_result",
]
