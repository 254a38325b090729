"""What a placeholder stands for in a scope."""

from collections.abc import Set
from dataclasses import dataclass, field

from tools.carriers import NOTHING_CARRIED, Carriers, TakenCredential, shown_in
from tools.errors import ErrorKind, RunError
from tools.json_text import Json, JsonObject
from tools.scope import MISSING, Missing, Scope
from tools.scripts import Script, ScriptForm, ScriptSession, ScriptValue, js_text
from tools.suggestions import did_you_mean
from tools.templates.parse import Placeholder

__all__ = ["Resolved", "Resolver"]

_KNOWN_NAMES_SHOWN = 20


@dataclass(frozen=True)
class Resolved:
    """The outcome of one placeholder: a value, or the reason there is none."""

    placeholder: Placeholder
    value: Json = None
    script_value: ScriptValue | None = None
    #: Why nothing was found; None when something was.
    problem: RunError | None = None
    #: The name stands for a credential or the address of a system.
    is_credential: bool = False

    @property
    def is_from_function(self) -> bool:
        return self.script_value is not None

    @property
    def is_empty(self) -> bool:
        """Unresolved, undefined, null or the empty text."""
        if self.problem is not None:
            return True
        if self.script_value is not None:
            return self.script_value.value is None or self.script_value.value == ""
        return self.value is None or self.value == ""

    def text(self) -> str:
        """The value as text; raises `RunError` when there is none."""
        if self.problem is not None:
            raise self.problem
        if self.script_value is not None:
            return self.script_value.text
        return js_text(self.value)

    def json_value(self) -> Json:
        """The value as JSON; raises `RunError` when there is none."""
        if self.problem is not None:
            raise self.problem
        return self.value if self.script_value is None else self.script_value.value


@dataclass(frozen=True)
class Resolver:
    """Resolves placeholders of one request in one scope; functions run in `session`."""

    scope: Scope
    session: ScriptSession
    step_id: str
    #: The credentials that went into each field so far, such as `headers.Accept`.
    taken: dict[str, set[TakenCredential]] = field(
        default_factory=dict[str, set[TakenCredential]], repr=False, compare=False
    )

    async def resolve(self, placeholder: Placeholder, where: str) -> Resolved:
        """Look a placeholder up, or call it.

        `where` is the field, such as `headers.Accept`, for messages. An unresolved name is an
        outcome, a throwing function raises `RunError`.
        """
        expression = placeholder.expression
        scope = self.scope
        value = scope.lookup(expression)
        if not isinstance(value, Missing):
            self._note_taken(scope.credentials.taken_by(expression), where)
            self._note_taken(scope.carried_under(expression, value), where)
            return Resolved(placeholder, value, is_credential=scope.is_credential(expression))
        if placeholder.is_function:
            self._note_taken(scope.credentials.taken_by(expression, is_function=True), where)
            script_value = await self._call(expression)
            self._note_taken(scope.carried_by(script_value), where)
            return Resolved(placeholder, script_value=script_value)
        return Resolved(placeholder, problem=self._unresolved(expression, where))

    def carriers_among(self, rendered: JsonObject) -> Carriers:
        """Those of the values rendered here that show a short credential, and which."""
        taken = NOTHING_CARRIED.union(*self.taken.values())
        short = [one for one in taken if one.is_short]
        shown = {name: shown_in(js_text(value), short) for name, value in rendered.items()}
        return {name: held for name, held in shown.items() if held}

    async def resolve_raw(self, placeholder: Placeholder, where: str) -> Resolved:
        """Resolve `<<raw:name>>` as `name`."""
        bare = Placeholder(placeholder.expression.removeprefix("raw:").strip(), placeholder.written)
        return await self.resolve(bare, where)

    def is_raw(self, placeholder: Placeholder) -> bool:
        """Whether the author opted out of encoding."""
        return (
            placeholder.expression.startswith("raw:")
            and self.scope.lookup(placeholder.expression) is MISSING
        )

    def _note_taken(self, taken: Set[TakenCredential], where: str) -> None:
        if taken:
            self.taken.setdefault(where, set()).update(taken)

    async def _call(self, expression: str) -> ScriptValue:
        try:
            return await self.session.evaluate(
                Script(expression, ScriptForm.FUNCTION),
                self.scope.values(),
                watched=self.scope.carriers,
            )
        except RunError as error:
            raise RunError(
                error.kind,
                f"Failed to run JS expression: {expression} - {error.message}",
                hint=error.detail.hint,
            ) from None

    def _unresolved(self, expression: str, where: str) -> RunError:
        names = self.scope.names()
        shown = ", ".join(f"`{name}`" for name in names[:_KNOWN_NAMES_SHOWN])
        if len(names) > _KNOWN_NAMES_SHOWN:
            shown += f" and {len(names) - _KNOWN_NAMES_SHOWN} more"
        message = (
            f"step `{self.step_id}`, {where}: no value named `{expression}`; "
            f"known: {shown or 'nothing'}"
        )
        hint = None
        if near := did_you_mean(expression, names):
            hint = f"did you mean `{near}`?"
            message += f". hint: {hint}"
        elif not expression.replace(".", "").replace("_", "").isalnum():
            hint = f"an expression is written as a function: `(s) => {expression}`"
        return RunError(ErrorKind.UNRESOLVED_VARIABLE, message, hint=hint)
