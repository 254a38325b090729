"""Workflows of Arazzo 1.0 and 1.1 as tools: each step runs the tool of its operation."""

import re
from collections.abc import Callable

from tools.importers import DocumentError, ImportResult, NoteList
from tools.importers.arazzo.sources import Sources
from tools.importers.arazzo.workflows import WorkflowReader
from tools.importers.openapi.document import read_document
from tools.importers.openapi.references import Place
from tools.importers.openapi.words import list_of, object_of, short_text
from tools.importers.requests.build import without_secrets

__all__ = ["import_arazzo"]

_MOST_WORKFLOWS = 1_000


def import_arazzo(
    content: bytes,
    *,
    read_bytes: Callable[[str], bytes] | None = None,
    system_id: str | None = None,
    folder: str | None = None,
) -> ImportResult:
    """The tools and systems of a document and the descriptions it names.

    `read_bytes` reads a file below the document's folder. Raises `DocumentError`.
    """
    root = read_document(content).root
    version = re.match(r"(1\.[01])(?:\.|$)", str(root.get("arazzo")))
    if version is None:
        raise DocumentError(
            "this is no Arazzo document of version 1.0 or 1.1",
            place="#/arazzo",
            hint="Such a document begins with `arazzo: 1.0.1`.",
        )
    workflows = root.get("workflows")
    if not isinstance(workflows, list) or not workflows:
        raise DocumentError("it has no workflows", place="#/workflows")
    if len(list_of(workflows)) > _MOST_WORKFLOWS:
        raise DocumentError(f"it has more than {_MOST_WORKFLOWS:,} workflows", place="#/workflows")
    notes = NoteList()
    sources = Sources(root, read_bytes, system_id, notes)
    reader = WorkflowReader(root, sources, notes, folder)
    tools = [
        tool
        for index, one in enumerate(list_of(workflows))
        if (tool := reader.read(object_of(one), Place(("workflows", index)))) is not None
    ]
    reasons = "; ".join(f"{one.place}: {one.reason}" for one in list(notes)[:3])
    if not tools:
        raise DocumentError(f"none of its workflows can be a tool: {reasons}", place="#/workflows")
    used = reader.used_tools()
    systems = reader.used_systems() or [one.result.system for one in sources.all]
    if not systems:
        raise DocumentError(
            f"no description of its operations can be used: {reasons or 'it names none'}",
            place="#/sourceDescriptions",
        )
    title = short_text(object_of(root.get("info")).get("title"), 100) or "Arazzo"
    result = ImportResult(
        f"arazzo {version[1]}",
        title,
        systems[0],
        (*used, *tools),
        frozenset(one.key for one in (*used, *tools)),
        notes,
        tuple(systems[1:]),
    )
    return without_secrets(result, reader.secrets)
