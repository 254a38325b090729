"""Conditions of Arazzo: which statuses they allow, and what they are in JavaScript."""

import re
from collections.abc import Callable
from typing import NoReturn

from tools.importers.arazzo.expressions import Path, UnknownExpression
from tools.json_text import encode_json_text

__all__ = ["HELPERS", "accepted_statuses", "condition_script", "regex_statuses"]

_STATUSES = range(100, 600)
_STATUS = re.compile(r"\s*\$statusCode\s*(==|!=|<=|>=|<|>)\s*(\d{3})\s*")
_COMPARISONS = {
    "==": int.__eq__,
    "!=": int.__ne__,
    "<": int.__lt__,
    "<=": int.__le__,
    ">": int.__gt__,
    ">=": int.__ge__,
}
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>true|false|null)\b
    |(?P<operator>&&|\|\||==|!=|<=|>=|<|>|!|\(|\))|(?P<expression>\$[^\s()!=<>&|]+))""",
    re.VERBOSE,
)
_DEEPEST = 50
#: Texts are compared whatever their case, and what is not there is null.
HELPERS = (
    'const c = (v) => typeof v === "string" ? v.toLowerCase() : v ?? null; '
    "const q = (a, b) => c(a) === c(b);"
)


def accepted_statuses(condition: str) -> frozenset[int] | None:
    """The statuses that a condition allows; None when it is about something else too."""
    parts = re.split(r"&&|\|\|", condition)
    matches = [_STATUS.fullmatch(part) for part in parts]
    if not all(matches) or ("&&" in condition and "||" in condition):
        return None
    joined = all if "&&" in condition else any
    return frozenset(
        status
        for status in _STATUSES
        if joined(_COMPARISONS[one[1]](status, int(one[2])) for one in matches if one)
    )


def regex_statuses(pattern: str) -> frozenset[int] | None:
    """The statuses that a pattern matches, when it is made of digits and dots alone."""
    if len(pattern) > 200 or not re.fullmatch(r"[\^$\d.|()\[\]-]+", pattern):
        return None
    try:
        compiled = re.compile(pattern)
    except re.error:
        return None
    return frozenset(one for one in _STATUSES if compiled.search(str(one)))


def condition_script(condition: str, resolve: Callable[[str], Path]) -> str:
    """A condition as a JavaScript expression over the state `s`, with `HELPERS` before it.

    Raises `UnknownExpression`.
    """
    return _Parser(condition, resolve).parse()


class _Parser:
    """Reads a condition: `||` binds least, then `&&`, then `!`, then comparisons."""

    def __init__(self, condition: str, resolve: Callable[[str], Path]) -> None:
        self._resolve = resolve
        self._tokens: list[tuple[str, str]] = []
        self._depth = 0
        position, condition = 0, condition.rstrip()
        while position < len(condition):
            match = _TOKEN.match(condition, position)
            if match is None:
                self._refuse()
            self._tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            position = match.end()

    def parse(self) -> str:
        script = self._either()
        if self._tokens:
            self._refuse()
        return script

    def _refuse(self) -> NoReturn:
        raise UnknownExpression("the condition is not mapped")

    def _take(self, *operators: str) -> str | None:
        if self._tokens and self._tokens[0] in {("operator", one) for one in operators}:
            return self._tokens.pop(0)[1]
        return None

    def _either(self) -> str:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse()
        parts = [self._both()]
        while self._take("||"):
            parts.append(self._both())
        self._depth -= 1
        return " || ".join(parts) if len(parts) == 1 else f"({' || '.join(parts)})"

    def _both(self) -> str:
        parts = [self._compared()]
        while self._take("&&"):
            parts.append(self._compared())
        return " && ".join(parts)

    def _compared(self) -> str:
        if self._take("!"):
            return f"!{self._value()}"
        left = self._value()
        operator = self._take("==", "!=", "<=", ">=", "<", ">")
        if operator is None:
            return left
        right = self._value()
        if operator in {"==", "!="}:
            return f"{'!' if operator == '!=' else ''}q({left}, {right})"
        return f"({left} {operator} {right})"

    def _value(self) -> str:
        if self._take("("):
            inner = self._either()
            if not self._take(")"):
                self._refuse()
            return f"({inner})"
        if not self._tokens:
            self._refuse()
        kind, text = self._tokens.pop(0)
        match kind:
            case "text":
                return encode_json_text(text[1:-1].replace("''", "'"))
            case "number" | "word":
                return text
            case "expression":
                return self._resolve(text).script()
            case _:
                self._refuse()
