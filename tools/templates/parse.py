"""The parts of a template: literal text and placeholders.

`<<expression>>` ends at the first `>>` at which the expression is complete: outside strings,
comments and brackets. `{{name}}` is the legacy spelling, for names only.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Placeholder", "Template", "is_function_source", "parse_template"]

_FUNCTION = re.compile(r"(?:async\b|function\b|\(|[A-Za-z_$][\w$]*\s*=>)")
_LEGACY = re.compile(r"\{\{\s*([A-Za-z_$][\w$.\-]*)\s*\}\}")
_PAIRS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True)
class Placeholder:
    """One `<<expression>>` (or legacy `{{name}}`); `expression` is trimmed."""

    expression: str
    #: As the author wrote it, brackets included.
    written: str
    legacy: bool = False

    @property
    def is_function(self) -> bool:
        """Whether it is evaluated as JavaScript when it is no name of the scope."""
        return not self.legacy and is_function_source(self.expression)


@dataclass(frozen=True)
class Template:
    """A parsed template: `parts` in order, adjacent literals joined."""

    text: str
    parts: tuple[str | Placeholder, ...]
    #: Position of a `<<` that no `>>` closes; that text stays literal.
    unclosed_at: int | None = None

    @property
    def placeholders(self) -> list[Placeholder]:
        return [part for part in self.parts if isinstance(part, Placeholder)]

    @property
    def is_only_placeholders(self) -> bool:
        """Whether nothing but placeholders is written, and at least one."""
        return bool(self.parts) and all(isinstance(part, Placeholder) for part in self.parts)


def is_function_source(source: str) -> bool:
    """Whether a text reads as a JavaScript function."""
    return _FUNCTION.match(source) is not None


@lru_cache(maxsize=4096)
def parse_template(text: str) -> Template:
    """Take a template apart. Never fails: what is not a placeholder is literal text."""
    parts: list[str | Placeholder] = []
    unclosed_at: int | None = None
    position = 0
    while (start := text.find("<<", position)) >= 0:
        end = _placeholder_end(text, start + 2)
        if end is None:
            unclosed_at = start
            break
        _add_literal(parts, text[position:start])
        parts.append(Placeholder(text[start + 2 : end].strip(), text[start : end + 2]))
        position = end + 2
    _add_literal(parts, text[position:])
    return Template(text, tuple(parts), unclosed_at)


def _add_literal(parts: list[str | Placeholder], text: str) -> None:
    position = 0
    for match in _LEGACY.finditer(text):
        if match.start() > position:
            parts.append(text[position : match.start()])
        parts.append(Placeholder(match[1], match[0], legacy=True))
        position = match.end()
    if position < len(text):
        parts.append(text[position:])


def _placeholder_end(text: str, start: int) -> int | None:
    """Where the closing `>>` of the placeholder that begins at `start` stands."""
    first = text.find(">>", start)
    if first < 0 or not is_function_source(text[start:first].lstrip()):
        return first if first >= 0 else None
    end = _end_of_expression(text, start)
    # An expression that never gets complete ends at the first `>>`: its error names what was read.
    return first if end is None else end


def _end_of_expression(text: str, start: int) -> int | None:
    brackets: list[str] = []
    index = start
    while index < len(text):
        character = text[index]
        if character in "'\"":
            closing = _end_of_string(text, index)
            if closing is None:
                return None
            index = closing
        elif character == "`":
            brackets.append("`")
            index = _template_literal_text(text, index + 1, brackets)
            continue
        elif text.startswith("//", index):
            newline = text.find("\n", index)
            if newline < 0:
                # A comment that runs to the end can only be closed by the placeholder itself.
                closing = text.find(">>", index)
                return closing if closing >= 0 and not brackets else None
            index = newline
        elif text.startswith("/*", index):
            index = text.find("*/", index)
            if index < 0:
                return None
            index += 1
        elif character in "([{":
            brackets.append(character)
        elif character in ")]}":
            if not brackets:
                return None
            opened = brackets.pop()
            if character == "}" and opened == "${":
                index = _template_literal_text(text, index + 1, brackets)
                continue
            if opened != _PAIRS[character]:
                return None
        elif not brackets and text.startswith(">>", index):
            return index
        index += 1
    return None


def _end_of_string(text: str, start: int) -> int | None:
    quote = text[start]
    index = start + 1
    while index < len(text):
        if text[index] == "\\":
            index += 1
        elif text[index] == quote:
            return index
        elif text[index] == "\n":
            return None
        index += 1
    return None


def _template_literal_text(text: str, start: int, brackets: list[str]) -> int:
    """Skip the text of a template literal; on `${` or its end, `brackets` says what comes."""
    index = start
    while index < len(text):
        if text[index] == "\\":
            index += 1
        elif text[index] == "`":
            brackets.pop()
            return index + 1
        elif text.startswith("${", index):
            brackets.append("${")
            return index + 2
        index += 1
    return index
