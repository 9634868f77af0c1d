"""The wire format of chat messages and tools, as `mistralai` and `openai` send them."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ponant.api.fields import Count, Items
from ponant.api.generation import GenerationFields, ResponseFormat
from ponant.kit.errors import BadRequest
from ponant.serving.port import ChatRequest, Controls
from ponant.text.messages import Message, Role, Tool, ToolCall

_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}


def _as_json_text(value: object) -> object:
    return value if isinstance(value, str) else json.dumps(value)


class FunctionCallBody(BaseModel):
    name: str
    arguments: Annotated[str, BeforeValidator(_as_json_text)] = "{}"


class ToolCallBody(BaseModel):
    id: str | None = None
    type: str = "function"
    function: FunctionCallBody


class MessageBody(BaseModel):
    """A message of any role; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Items[dict[str, Any]] | None = None
    tool_calls: Items[ToolCallBody] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    prefix: bool | None = None

    def message(self) -> Message:
        calls = tuple(
            ToolCall(id=call.id or "", name=call.function.name, arguments=call.function.arguments)
            for call in self.tool_calls or ()
        )
        return Message(
            role=_ROLES[self.role],
            content=_text(self.content),
            tool_calls=calls,
            tool_call_id=self.tool_call_id,
            name=self.name,
            prefix=bool(self.prefix),
        )


def _text(content: str | list[dict[str, Any]] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(_chunk_text(chunk) for chunk in content)


def _chunk_text(chunk: dict[str, Any]) -> str:
    match chunk:
        case {"type": "text" | "input_text" | "output_text", "text": str(text)}:
            return text
        case {"type": "thinking" | "reference" | "tool_reference"}:
            return ""
        case {"type": str(kind)}:
            raise BadRequest(
                f"This model reads text only; take the {kind} chunk out of the message.",
                param="messages",
            )
    raise BadRequest("A content chunk needs a type and a text.", param="messages")


class FunctionBody(BaseModel):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolBody(BaseModel):
    type: str = "function"
    function: FunctionBody | None = None

    def tool(self) -> Tool:
        if self.function is None:
            raise BadRequest(
                f"Tools of type {self.type} do not exist on chat completions; "
                "declare a function or use /v1/conversations.",
                param="tools",
            )
        return Tool(
            name=self.function.name,
            description=self.function.description or "",
            parameters=self.function.parameters or {},
            strict=bool(self.function.strict),
        )


class ToolChoiceFunction(BaseModel):
    name: str


class ToolChoiceBody(BaseModel):
    type: str = "function"
    function: ToolChoiceFunction


class ChatBody(GenerationFields):
    """The request of ``POST /v1/chat/completions``."""

    messages: Items[MessageBody] = Field(min_length=1)
    max_completion_tokens: Count | None = None
    response_format: ResponseFormat | None = None
    tools: Items[ToolBody] | None = None
    tool_choice: Literal["auto", "none", "any", "required"] | ToolChoiceBody | None = None
    parallel_tool_calls: bool | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    prompt_logprobs: bool | None = None
    top_prompt_logprobs: int | None = Field(default=None, ge=0, le=20)

    def chat_request(self, scope: str) -> ChatRequest:
        """What the model is asked, for prompt pages shared inside ``scope``."""
        limit = self.max_tokens if self.max_tokens is not None else self.max_completion_tokens
        form = self.response_format
        return ChatRequest(
            messages=tuple(message.message() for message in self.messages),
            tools=tuple(tool.tool() for tool in self.tools or ()),
            tool_choice=self._choice(),
            parallel_tool_calls=self.parallel_tool_calls,
            controls=Controls(
                sampling=self.sampling(),
                max_tokens=limit,
                min_tokens=self.min_tokens or 0,
                stop=self.stop,
                grammar=form.source() if form else None,
                logprobs=(self.top_logprobs or 0) if self.logprobs else None,
                prompt_logprobs=(self.top_prompt_logprobs or 0) if self.prompt_logprobs else None,
                cache_scope=scope,
                owner=scope,
                priority=self.priority,
            ),
            extra=self._for_others(),
        )

    def _for_others(self) -> dict[str, Any]:
        """What an upstream server may know and we do not, or not alone."""
        tier = {} if self.service_tier is None else {"service_tier": self.service_tier}
        return dict(self.model_extra or {}) | tier

    def _choice(self) -> str:
        if isinstance(self.tool_choice, ToolChoiceBody):
            return self.tool_choice.function.name
        return "any" if self.tool_choice == "required" else self.tool_choice or "auto"
