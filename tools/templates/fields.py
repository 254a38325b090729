"""Query parameters and headers: an object of templates, or one template that yields an object."""

from collections.abc import Iterator

from tools.errors import ErrorKind, RunError
from tools.json_text import Json, JsonObject, decode_json
from tools.scripts import js_text
from tools.templates.resolve import Resolver
from tools.templates.text import render_optional_text, render_text

__all__ = ["render_fields"]


async def render_fields(
    fields: JsonObject | str | None, resolver: Resolver, where: str
) -> list[tuple[str, str]]:
    """Names and texts in the order written; parameters whose value is left out are not there.

    A list gives its name once for each element. Raises `RunError` for unresolved names and for one
    template that yields no object.
    """
    if fields is None:
        return []
    if isinstance(fields, str):
        return [
            (name, text)
            for name, value in (await _object_of(fields, resolver, where)).items()
            for text in _literal_texts(value)
        ]
    rendered: list[tuple[str, str]] = []
    for name_template, value in fields.items():
        name = await render_text(name_template, resolver, where)
        place = f"{where}.{name}"
        for element in _elements(value):
            if not isinstance(element, str):
                rendered.extend((name, text) for text in _literal_texts(element))
                continue
            text = await render_optional_text(
                element,
                resolver,
                place,
                functions_must_give_a_value=name.lower() == "authorization",
            )
            if text is not None:
                rendered.append((name, text))
    return rendered


async def _object_of(template: str, resolver: Resolver, where: str) -> JsonObject:
    if not template.strip():
        return {}
    text = await render_optional_text(template, resolver, where)
    if text is None:
        return {}
    try:
        value = decode_json(text.encode())
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise RunError(
            ErrorKind.UNRESOLVED_VARIABLE,
            f"{where}: the template gave {text[:200]!r}; valid is a JSON object",
        )
    return value  # pyright: ignore[reportUnknownVariableType]: a JSON object


def _elements(value: Json) -> Iterator[Json]:
    if isinstance(value, list):
        yield from value
    else:
        yield value


def _literal_texts(value: Json) -> Iterator[str]:
    for element in _elements(value):
        if element is not None:
            yield js_text(element)
