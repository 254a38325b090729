"""The outcome of one evaluation."""

from typing import Self, cast

from tools.body import Body
from tools.errors import ErrorKind, RunError
from tools.json_pieces import LARGE_BYTES
from tools.json_reader import decode_json_pieces
from tools.json_text import Json, decode_json, encode_json
from tools.scripts.paths import UNDEFINED
from tools.scripts.text import js_text

__all__ = ["ScriptValue", "decode_script_json"]

_UNREAD = object()
_NO_NAMES: frozenset[str] = frozenset()


def decode_script_json(data: bytes | Body) -> Json:
    """Decode JSON text made by JavaScript; a large body is let go of as it is read.

    Raises `RunError` (script_limit).
    """
    try:
        if isinstance(data, bytes):
            return decode_json(data)
        if len(data) <= LARGE_BYTES:
            return decode_json(data.whole())
        return decode_json_pieces(data.take())
    except ValueError:
        # All else is as the engine made it.
        raise RunError(
            ErrorKind.SCRIPT_LIMIT,
            "The result of the script is nested too deeply",
            hint="Return a value of at most about a thousand levels.",
        ) from None


class ScriptValue:
    """The outcome of one evaluation: JSON text that is decoded when it is first asked for.

    A value that was read without the engine is part of the argument, not a copy: treat it as
    read-only.
    """

    __slots__ = ("_json", "_text", "_value", "is_undefined", "names_read")

    def __init__(
        self,
        *,
        json_text: bytes | None = None,
        text: str | None = None,
        value: Json = _UNREAD,
        is_undefined: bool = False,
        names_read: frozenset[str] = _NO_NAMES,
    ) -> None:
        #: True where the script gave `undefined`; a function or a symbol is null, with its text.
        self.is_undefined = is_undefined
        #: The watched names that it may be made of.
        self.names_read = names_read
        self._json = json_text
        self._text = text
        self._value = value

    @classmethod
    def undefined(cls) -> Self:
        return cls(json_text=b"null", text="undefined", value=None, is_undefined=True)

    @classmethod
    def read(cls, value: Json, names_read: frozenset[str] = _NO_NAMES) -> Self:
        """Wrap what `read_path` gave."""
        return cls.undefined() if value is UNDEFINED else cls(value=value, names_read=names_read)

    @property
    def value(self) -> Json:
        """The JSON value; None for null, undefined, functions, symbols, NaN and the infinities.

        Raises `RunError` (script_limit) where it is nested too deeply for Python.
        """
        if self._value is _UNREAD:
            self._value = decode_script_json(cast(bytes, self._json))
        return self._value

    @property
    def text(self) -> str:
        """The text in a template: compact JSON of objects, lists and null, else `String(value)`."""
        if self._text is None:
            if self._json is None or self._json.startswith(b'"'):
                self._text = js_text(self.value)
            else:
                self._text = self._json.decode()
        return self._text

    @property
    def json(self) -> bytes:
        """The JSON text, UTF-8; `null` for undefined."""
        if self._json is None:
            self._json = encode_json(self._value)
        return self._json

    def __repr__(self) -> str:
        return f"ScriptValue({'undefined' if self.is_undefined else self.text[:200]})"
