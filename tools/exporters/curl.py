"""Tools as curl commands: one for each request step, credentials as variables of the shell."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import cast
from urllib.parse import quote, quote_plus

from tools.exporters import Exported
from tools.exporters.expressions import (
    default_of,
    is_json_template,
    json_with_values,
    translated,
    without_code,
)
from tools.json_text import Json, JsonObject, decode_json
from tools.methods import METHODS_WITH_BODY
from tools.model import RequestConfig, Step, Tool
from tools.scope import Missing
from tools.scripts import js_text
from tools.system import (
    ApiKeyAuth,
    AwsSigV4Auth,
    BasicAuth,
    BearerAuth,
    DigestAuth,
    OAuth2Auth,
    System,
)

__all__ = ["export_curl"]

_FORM, _MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
#: User and password, which a tool encodes, as curl does for `-u`.
_BASIC = re.compile(r"basic\s+([^:]*:.*)", re.IGNORECASE | re.DOTALL)
#: What shells read in a quoted text, marked so that it is found after quoting.
_VARIABLE = re.compile("\ue002(\\w+)\ue003")


def export_curl(tools: Sequence[Tool], systems: Mapping[str, System]) -> Exported:
    """A command for each request step, as one text."""
    lines: list[str] = []
    left_out: list[str] = []
    for tool in tools:
        for step in tool.steps:
            place = f"{tool.id}, step {step.id}"
            if not isinstance(step.config, RequestConfig):
                left_out.append(f"{place}: only requests can be commands")
                continue
            writer = _Writer(tool, step, step.config, systems)
            lines.append(f"# {_one_line(place)}")
            lines.append(writer.command())
            lines.append("")
            left_out.extend(f"{place}: {reason}" for reason in writer.left_out)
        for name in ("output_transform", "response_filters"):
            if getattr(tool, name):
                left_out.append(f"{tool.id}: {_NAMES[name]} is not part of a command")
    return Exported("\n".join(lines), tuple(dict.fromkeys(left_out)))


_NAMES = {"output_transform": "outputTransform", "response_filters": "responseFilters"}


class _Writer:
    """Writes the command of one step."""

    def __init__(
        self, tool: Tool, step: Step, config: RequestConfig, systems: Mapping[str, System]
    ) -> None:
        self._tool = tool
        self._step = step
        self._config = config
        self._system = systems.get(config.system_id or "")
        self._systems = systems
        self.left_out: list[str] = []

    def command(self) -> str:
        config = self._config
        headers = self._fields(config.headers, "headers")
        query = self._fields(config.query_params, "queryParams")
        words = ["curl"]
        if config.method != "GET":
            words += ["-I"] if config.method == "HEAD" else ["-X", config.method]
        words += self._sign_in(query)
        for name, value in headers:
            basic = _BASIC.fullmatch(value) if name.lower() == "authorization" else None
            words += ["-H", f"{name}: {value}"] if basic is None else ["-u", basic[1]]
        words += self._body(headers)
        url = self._url()
        if query:
            pairs = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in query)
            url += f"{'&' if '?' in url else '?'}{pairs}"
        words.append(url)
        if config.pagination is not None and config.pagination.type != "disabled":
            self.left_out.append("only the first page is asked for")
        if self._step.data_selector is not None:
            self.left_out.append("the loop is not part of a command; it asks for one item")
        return " ".join(_quoted(word) for word in words)

    def _url(self) -> str:
        url = self._text(self._config.url, "url", lambda text: quote(text, safe=""))
        if url.startswith("/") and self._system is not None and self._system.url:
            return self._system.url.rstrip("/") + url
        if url.startswith("/"):
            self.left_out.append("the url of its system is not known")
            return f"https://HOST{url}"
        return url

    def _sign_in(self, query: list[tuple[str, str]]) -> list[str]:
        auth = self._system.auth if self._system is not None else None
        match auth:
            case BearerAuth():
                return ["-H", f"Authorization: Bearer {self._credential(auth.credential)}"]
            case OAuth2Auth():
                self.left_out.append("OAuth 2: put an access token into the variable")
                return ["-H", f"Authorization: Bearer {self._credential('access_token')}"]
            case BasicAuth() | DigestAuth():
                pair = f"{self._credential(auth.username)}:{self._credential(auth.password)}"
                return [*(["--digest"] if isinstance(auth, DigestAuth) else []), "-u", pair]
            case ApiKeyAuth(place="header"):
                return ["-H", f"{auth.name}: {self._credential(auth.credential)}"]
            case ApiKeyAuth():
                query.append((auth.name, self._credential(auth.credential)))
                return []
            case AwsSigV4Auth():
                keys = (auth.access_key_id, auth.secret_access_key)
                pair = ":".join(map(self._credential, keys))
                return ["--aws-sigv4", f"aws:amz:{auth.region}:{auth.service}", "-u", pair]
            case _:
                return []

    def _credential(self, name: str, system_id: str | None = None) -> str:
        whole = f"{system_id or self._config.system_id}_{name}"
        return f"\ue002{re.sub(r'[^A-Z0-9]+', '_', whole.upper()).strip('_')}\ue003"

    def _body(self, headers: list[tuple[str, str]]) -> list[str]:
        config = self._config
        if config.body is None or config.method not in METHODS_WITH_BODY:
            return []
        kind = next((value for name, value in headers if name.lower() == "content-type"), "")
        kind = kind.partition(";")[0].strip().lower()
        body = without_code(config.body)
        if body != config.body:
            self.left_out.append("body: take out what is not to be sent")
        text = json_with_values(body, self._value_of)
        fields = _object_in(text) if kind in {_FORM, _MULTIPART} else None
        if fields is not None:
            return [
                word
                for name, value in fields.items()
                for one in (cast("list[Json]", value) if isinstance(value, list) else [value])
                for word in (
                    ("--data-urlencode", f"{name}={js_text(one)}")
                    if kind == _FORM
                    else self._part(name, one)
                )
            ]
        if kind == _MULTIPART:
            self.left_out.append(
                "body: its parts are made by code; put a --form-string or -F in for each"
            )
            return ["--form-string", "<name>=<value>"]
        words: list[str] = []
        if not kind:
            # Without one, curl says that it is a form.
            is_json = text is not None or is_json_template(body)
            kind = "application/json" if is_json else "text/plain; charset=utf-8"
            words = ["-H", f"Content-Type: {kind}"]
        return [*words, "--data-raw", self._text(body, "body", str) if text is None else text]

    def _part(self, name: str, value: Json) -> tuple[str, str]:
        """The option for a part of a multipart body; files are read where the command runs."""
        described = cast("JsonObject", value) if isinstance(value, dict) else {}
        file = described.get("file")
        content = cast("JsonObject", file) if isinstance(file, dict) else {}
        is_part = "text" in content or "base64" in content or isinstance(file, str)
        if not is_part or not described.keys() <= {"file", "name", "contentType"}:
            return "--form-string", f"{name}={js_text(value)}"
        both = {**described, **content}
        if "text" in content:
            source = f'"{_in_quotes(js_text(content["text"]))}"'
        else:
            given = file if isinstance(file, str) else "<content>"
            source = f"@{given}"
            self.left_out.append(f"body.{name}: put the place of the file for {given}")
        settings = ""
        if both.get("name"):
            settings += f';filename="{_in_quotes(js_text(both["name"]))}"'
        if both.get("contentType"):
            settings += f";type={js_text(both['contentType'])}"
        return "-F", f"{name}={source}{settings}"

    def _fields(self, fields: JsonObject | str | None, where: str) -> list[tuple[str, str]]:
        if isinstance(fields, str):
            self.left_out.append(f"{where} are made by a template, which is left out")
            return []
        pairs: list[tuple[str, str]] = []
        for name, value in (fields or {}).items():
            listed = cast("list[Json]", value) if isinstance(value, list) else [value]
            for one in listed:
                if one is not None:
                    text = self._text(js_text(one), f"{where}.{name}", str)
                    pairs.append((self._text(name, where, str), text))
        return pairs

    def _text(self, template: str, where: str, encoded: Callable[[str], str]) -> str:
        text = translated(template, lambda name: self._value(name, encoded))
        if text is None:
            self.left_out.append(f"{where}: its code is not carried over; put the value in")
            text = translated(re.sub(r"<<.*>>", "<value>", template, flags=re.DOTALL), str)
        return text or ""

    def _value(self, name: str, encoded: Callable[[str], str]) -> str:
        value = self._value_of(name)
        if isinstance(value, str) and ("\ue002" in value or _is_blank(value)):
            return value
        return encoded(js_text(value))

    def _value_of(self, name: str) -> Json:
        """What stands for a name: a variable of the shell, a default, or the name to fill in."""
        for system_id, system in self._systems.items():
            if name == f"{system_id}_url":
                return system.url
            if name.startswith(f"{system_id}_"):
                return self._credential(name.removeprefix(f"{system_id}_"), system_id)
        if self._config.system_id and name.startswith(f"{self._config.system_id}_"):
            return self._credential(name.removeprefix(f"{self._config.system_id}_"))
        if name.startswith("credentials."):
            return self._credential(name.partition(".")[2], "credential")
        default = default_of(self._tool.input_schema or {}, name)
        return f"<{name}>" if isinstance(default, Missing) else default


def _is_blank(value: str) -> bool:
    return value.startswith("<") and value.endswith(">")


def _in_quotes(text: str) -> str:
    """A text for the value of `-F`, which curl reads with backslashes as escapes."""
    return re.sub(r'([\\"])', r"\\\1", text)


def _object_in(text: str | None) -> JsonObject | None:
    try:
        value = decode_json((text or "").encode())
    except ValueError:
        return None
    return cast("JsonObject", value) if isinstance(value, dict) else None


def _encoded(text: str) -> str:
    return text if "\ue002" in text or _is_blank(text) else quote_plus(text)


def _quoted(word: str) -> str:
    """A word for a POSIX shell; what is a variable stands in double quotes."""
    if "\ue002" not in word:
        return shlex.quote(word)
    escaped = re.sub(r'([\\"$`])', r"\\\1", word)
    return '"' + _VARIABLE.sub(r"${\1}", escaped) + '"'


def _one_line(text: str) -> str:
    return " ".join(text.split())
