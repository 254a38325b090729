"""Content types and file names: what a body says about itself."""

from dataclasses import dataclass, field
from email.message import Message
from functools import lru_cache
from pathlib import PurePosixPath

__all__ = ["MediaType", "media_type_of_name", "parse_media_type"]

# What the ending of a file name says. `mimetypes` differs from machine to machine.
_BY_SUFFIX = {
    ".json": "application/json",
    ".geojson": "application/json",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".md": "text/plain",
    ".log": "text/plain",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".html": "text/html",
    ".htm": "text/html",
    ".zip": "application/zip",
    ".gz": "application/gzip",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xlsm": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}


@dataclass(frozen=True)
class MediaType:
    """A parsed `Content-Type`: `essence` is lower case without parameters, empty when absent."""

    essence: str = ""
    parameters: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def charset(self) -> str | None:
        return self.parameters.get("charset")

    @property
    def suffix(self) -> str:
        """The structured syntax suffix: `json` of `application/problem+json`."""
        return self.essence.rpartition("+")[2] if "+" in self.essence else ""


@lru_cache(maxsize=256)
def parse_media_type(content_type: str | None) -> MediaType:
    """The parts of a `Content-Type` header. A header that cannot be read counts as absent."""
    if not content_type or not content_type.strip():
        return MediaType()
    message = Message()
    message["content-type"] = content_type.replace("\r", " ").replace("\n", " ")
    essence, *parameters = message.get_params(failobj=[("", "")])
    name = essence[0].strip().lower()
    if name.count("/") != 1:
        return MediaType()
    return MediaType(name, {key.lower(): str(value).strip() for key, value in parameters})


def media_type_of_name(filename: str | None) -> MediaType:
    """The content type that the ending of a file name stands for, absent when unknown."""
    if not filename:
        return MediaType()
    return MediaType(_BY_SUFFIX.get(PurePosixPath(filename).suffix.lower(), ""))
