"""The text of a JSON value as JavaScript writes it, for values that were read without the engine.

Objects, arrays and null are compact JSON as `JSON.stringify` makes it; everything else is what
`String(value)` gives. Integers keep all their digits, also beyond 2**53.
"""

import re
from json.encoder import encode_basestring  # type: ignore[attr-defined]
from math import isfinite
from typing import cast

from tools.json_text import Json

__all__ = ["js_text"]

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def js_text(value: Json) -> str:
    """Write a JSON value as the text it has in a template."""
    if isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number_text(value)
    return _json_text(value)


def _number_text(value: float) -> str:
    """`Number::toString` of ECMA-262, radix 10."""
    if not isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    # repr gives the shortest digits that read back as the same number, as ECMA-262 asks.
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    digits = (whole + fraction).lstrip("0")
    # value = 0.digits * 10 ** point
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = point - 1
    tail = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if power > 0 else '-'}{abs(power)}"


def _string_text(value: str) -> str:
    quoted = encode_basestring(value)
    return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def _json_text(value: Json) -> str:
    """`JSON.stringify(value)`; its own stack, so that depth is no matter."""
    out: list[str] = []
    # What is still to be written, last first: values, and ready text in a one-element tuple.
    pending: list[Json] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, tuple):
            out.append(cast(str, item[0]))
        elif isinstance(item, str):
            out.append(_string_text(item))
        elif isinstance(item, dict):
            fields = cast("dict[str, Json]", item)
            pending.append(("}",))
            for position, (key, member) in enumerate(reversed(fields.items())):
                comma = "," if position < len(fields) - 1 else ""
                pending.append(member)
                pending.append((f"{comma}{_string_text(key)}:",))
            pending.append(("{",))
        elif isinstance(item, list):
            members = cast("list[Json]", item)
            pending.append(("]",))
            for position in range(len(members) - 1, -1, -1):
                pending.append(members[position])
                if position:
                    pending.append((",",))
            pending.append(("[",))
        elif item is None or (isinstance(item, float) and not isfinite(item)):
            out.append("null")
        else:
            out.append(js_text(item))
    return "".join(out)
