"""A template as text: headers, query values, bodies that are not JSON."""

from tools.errors import ErrorKind, RunError
from tools.templates.parse import parse_template
from tools.templates.resolve import Resolved, Resolver

__all__ = ["render_optional_text", "render_text", "require_value"]


async def render_text(template: str, resolver: Resolver, where: str) -> str:
    """The text of a template. Raises `RunError` when a name is unresolved or a function throws."""
    rendered: list[str] = []
    for part in parse_template(template).parts:
        if isinstance(part, str):
            rendered.append(part)
            continue
        resolved = await resolver.resolve(part, where)
        # A legacy name that is not known is the author's own text.
        unknown_legacy = part.legacy and resolved.problem is not None
        rendered.append(part.written if unknown_legacy else resolved.text())
    return "".join(rendered)


async def render_optional_text(
    template: str, resolver: Resolver, where: str, *, functions_must_give_a_value: bool = False
) -> str | None:
    """Like `render_text`, but None when only placeholders are written and they are all empty."""
    parsed = parse_template(template)
    if not parsed.is_only_placeholders:
        if functions_must_give_a_value:
            return await _render_with_values(template, resolver, where)
        return await render_text(template, resolver, where)
    resolved = [await resolver.resolve(part, where) for part in parsed.placeholders]
    if functions_must_give_a_value:
        for one in resolved:
            require_value(one, where)
    if all(one.is_empty and not one.placeholder.legacy for one in resolved):
        return None
    return "".join(
        one.placeholder.written if one.placeholder.legacy and one.problem else one.text()
        for one in resolved
    )


async def _render_with_values(template: str, resolver: Resolver, where: str) -> str:
    rendered: list[str] = []
    for part in parse_template(template).parts:
        if isinstance(part, str):
            rendered.append(part)
        else:
            resolved = await resolver.resolve(part, where)
            require_value(resolved, where)
            unknown_legacy = part.legacy and resolved.problem is not None
            rendered.append(part.written if unknown_legacy else resolved.text())
    return "".join(rendered)


def require_value(resolved: Resolved, where: str) -> None:
    """Refuse a function that gave undefined, null or the empty text where a value must stand."""
    if resolved.is_from_function and resolved.is_empty:
        raise RunError(
            ErrorKind.UNRESOLVED_VARIABLE,
            f"{where}: {resolved.placeholder.expression} gave no value",
            hint="a function here must give a text or a number that is not empty",
        )
