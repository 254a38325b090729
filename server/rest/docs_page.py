"""`/docs`: the OpenAPI document for people, as one page that loads nothing from anywhere."""

from collections.abc import Iterator
from html import escape

from tools.json_text import JsonObject

__all__ = ["docs_page"]

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem } code { background: #8882; padding: .1em .3em; border-radius: 3px }
details { border: 1px solid #8885; border-radius: 5px; margin: .5rem 0; padding: .5rem .8rem }
summary { cursor: pointer } table { border-collapse: collapse } td { padding: .1rem 1rem .1rem 0;
vertical-align: top } :root { color-scheme: light dark }
"""


def docs_page(document: JsonObject) -> str:
    """The page of an OpenAPI document."""
    by_subject: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            subject = operation.get("tags", ["other"])[0]
            by_subject.setdefault(subject, []).append(_operation(method, path, operation))
    sections = "".join(
        f"<h2>{escape(subject)}</h2>{''.join(parts)}" for subject, parts in by_subject.items()
    )
    title = f"{document['info']['title']} {document['info']['version']}"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>"
        "<p>Send your key as <code>Authorization: Bearer KEY</code>. The shapes are in "
        f'<a href="/openapi.json">openapi.json</a>.</p>{sections}</html>'
    )


def _operation(method: str, path: str, operation: JsonObject) -> str:
    rows = "".join(_rows(operation))
    text = escape(operation.get("description", "")).replace("\n\n", "<p>")
    return (
        f"<details><summary><code>{method.upper()} {escape(path)}</code> "
        f"{escape(operation.get('summary', ''))}</summary><p>{text}</p>"
        f"<table>{rows}</table></details>"
    )


def _rows(operation: JsonObject) -> Iterator[str]:
    for parameter in operation.get("parameters", []):
        place = escape(f"{parameter['name']} ({parameter['in']})")
        yield f"<tr><td><code>{place}</code><td>{escape(parameter.get('description', ''))}"
    if "requestBody" in operation:
        yield "<tr><td>body<td>JSON"
    for status, response in operation["responses"].items():
        yield f"<tr><td>{escape(status)}<td>{escape(response.get('description', ''))}"
