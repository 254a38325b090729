"""Prompts: ways of working that a person can pick in the host."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tools.json_text import JsonObject

__all__ = ["Prompt", "PromptError", "prompt_list", "prompt_messages", "prompts"]


class PromptError(ValueError):
    """The prompt, or an argument it needs, is not there; the message says what is valid."""


@dataclass(frozen=True)
class Prompt:
    """A prompt with its entry in `prompts/list`; `text` is made of its arguments."""

    wire: JsonObject
    text: Callable[[Mapping[str, str]], str]

    def message(self, arguments: Mapping[str, str]) -> str:
        """What the model is told. Raises `PromptError`."""
        for argument in self.wire["arguments"]:
            if argument["required"] and not arguments.get(argument["name"]):
                raise PromptError(f"{self.wire['name']} needs the argument {argument['name']}")
        return self.text(arguments)


def prompts(*, with_authoring: bool) -> dict[str, Prompt]:
    """The prompts by name; `create_tool` needs the tools that write tools."""
    found = (_CREATE_TOOL, _DIAGNOSE_RUN) if with_authoring else (_DIAGNOSE_RUN,)
    return {prompt.wire["name"]: prompt for prompt in found}


def prompt_list(shown: Mapping[str, Prompt]) -> JsonObject:
    """`{prompts}`."""
    return {"prompts": [prompt.wire for prompt in shown.values()]}


def prompt_messages(
    shown: Mapping[str, Prompt], name: str, arguments: Mapping[str, str]
) -> JsonObject:
    """`{description, messages}`. Raises `PromptError`."""
    prompt = shown.get(name)
    if prompt is None:
        raise PromptError(f"no prompt {name}; valid: {', '.join(shown)}")
    content = {"type": "text", "text": prompt.message(arguments)}
    return {
        "description": prompt.wire["description"],
        "messages": [{"role": "user", "content": content}],
    }


def _argument(name: str, description: str, *, required: bool = False) -> JsonObject:
    return {"name": name, "description": description, "required": required}


def _create_tool(arguments: Mapping[str, str]) -> str:
    where = f" The API: {arguments['api']}." if arguments.get("api") else ""
    return (
        f"Make a stored tool: {arguments['task']}.{where}\n\n"
        "1. search_tools: perhaps there is one already. Read callslip://tool-format.\n"
        "2. Write the smallest definition that could work, and check it with check_tool.\n"
        "3. try_tool with mode dry and real inputs: are the requests right? Then limited: look at "
        "what the API answers, with get_run, before writing an outputTransform.\n"
        "4. Mend what is wrong by the problems named. When a credential is missing, say which "
        "command sets it; never ask for its value and never write one into the tool.\n"
        "5. Return only what a caller needs. Write the instruction for a model that has never "
        "seen this API.\n"
        "6. save_tool, call it once, and say what it does, which hosts it reaches and whether it "
        "writes. If it writes, ask before the first live run."
    )


def _diagnose_run(arguments: Mapping[str, str]) -> str:
    run_id = arguments.get("runId")
    which = (
        f"Find out why run {run_id} went wrong"
        if run_id
        else 'Find the last run that failed (list_runs, status "failed") and why it did'
    )
    return (
        f"{which}.\n\n"
        "1. explain_run: the failing step, its exchange, and what changed since the last run that "
        "worked.\n"
        "2. If that is not enough: compare_runs with the last good one, get_run for each request.\n"
        "3. Say in two or three sentences what happened, whether it is the inputs, the tool, a "
        "credential or the upstream, and what to do.\n"
        "4. If trying again could help and nothing was changed upstream, offer rerun_run with "
        "from_failed_step; do not do it unasked."
    )


_CREATE_TOOL = Prompt(
    {
        "name": "create_tool",
        "title": "Create a tool",
        "description": "Write, try and store a tool for an API.",
        "arguments": [
            _argument("task", "What the tool is to do.", required=True),
            _argument("api", "The API: its address or where it is documented."),
        ],
    },
    _create_tool,
)

_DIAGNOSE_RUN = Prompt(
    {
        "name": "diagnose_run",
        "title": "Diagnose a run",
        "description": "Find out why a run failed and what to do.",
        "arguments": [_argument("runId", "The run; the last one that failed when absent.")],
    },
    _diagnose_run,
)
