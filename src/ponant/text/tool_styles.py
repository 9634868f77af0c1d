"""How families of models write tool calls."""

import json
from typing import NamedTuple


class ToolStyle(NamedTuple):
    """The text around calls. ``name_key`` and ``arguments_key`` name the fields of one call.

    Attributes:
        first: before the first call.
        between: between two calls; empty where only one can be made.
        last: after the last call.
        begin: before each call.
        end: after each call.
        bare: the call stands without an envelope: an answer that begins with ``{`` is one.
        arguments_mark: stands between a bare name and the arguments, where both are no object.
    """

    name: str
    first: str = ""
    between: str = ""
    last: str = ""
    begin: str = ""
    end: str = ""
    name_key: str = "name"
    arguments_key: str = "arguments"
    bare: bool = False
    arguments_mark: str = ""

    @property
    def opening(self) -> str:
        """The text that tells that a call begins."""
        return self.first or self.begin

    def around(self, tool: str) -> tuple[str, str]:
        """The text before and after the arguments of a call of this tool."""
        if self.arguments_mark:
            return f"{self.begin}{tool}{self.arguments_mark}", self.end
        name = json.dumps(tool, ensure_ascii=False)
        before = f'{self.begin}{{"{self.name_key}": {name}, "{self.arguments_key}": '
        return before, f"}}{self.end}"


ENVELOPE = ToolStyle("envelope", begin="<tool_call>\n", between="\n", end="\n</tool_call>")
"""Ours, and that of Hermes and Qwen: JSON between two tags."""

MISTRAL = ToolStyle("mistral", first="[TOOL_CALLS][", between=", ", last="]")
"""A JSON list after a special token."""

MISTRAL_NAMED = ToolStyle("mistral-named", begin="[TOOL_CALLS]", arguments_mark="[ARGS]")
"""A special token, the name, another one and the arguments, as Mistral writes since v11."""

LLAMA3 = ToolStyle("llama3", arguments_key="parameters", bare=True)
"""JSON alone, where the answer would stand."""


def style_of(template: str) -> ToolStyle:
    """The style that a chat template asks its model for."""
    if "[TOOL_CALLS]" in template:
        return MISTRAL
    if "<tool_call>" not in template and '"parameters": ' in template:
        return LLAMA3
    return ENVELOPE
