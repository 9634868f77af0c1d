"""The requests about conversations, as Mistral's client sends them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ponant.api.fields import Count, Items, Metadata, Seed, Strings, Text, ignored_header
from ponant.assistant import Ask, Said, Setup
from ponant.engine import Sampling
from ponant.kit.errors import BadRequest
from ponant.serving.port import Controls
from ponant.text.messages import Role

_TEMPERATURE = 0.3
_MOST_LIBRARIES = 20
_ASSISTANT = "assistant"


def _as_entries(value: object) -> object:
    if value is None:
        return []
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


class CompletionArgs(BaseModel):
    """How answers are generated."""

    model_config = ConfigDict(extra="ignore")

    temperature: float | None = Field(default=None, ge=0, le=5)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: Annotated[Count, Field(ge=1)] | None = None
    random_seed: Seed | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    stop: Strings = ()

    def controls(self) -> Controls:
        temperature = _TEMPERATURE if self.temperature is None else self.temperature
        return Controls(
            sampling=Sampling(
                temperature=temperature,
                top_p=1.0 if self.top_p is None else self.top_p,
                presence_penalty=self.presence_penalty or 0.0,
                frequency_penalty=self.frequency_penalty or 0.0,
                seed=None if self.random_seed is None else self.random_seed % 2**63,
            ),
            max_tokens=self.max_tokens,
            stop=self.stop,
        )


class InputEntry(BaseModel):
    """A message; ``content`` is text or a list of text chunks."""

    model_config = ConfigDict(extra="ignore")

    type: str = "message.input"
    role: Literal["user", "assistant"] = "user"
    content: Text | Items[dict[str, Any]] = ""

    def said(self) -> Said:
        if self.type not in {"message.input", "message.output"}:
            raise BadRequest(
                f"An input of type {self.type} is not understood yet. Send message.input.",
                param="inputs",
            )
        role = Role.ASSISTANT if self.role == _ASSISTANT else Role.USER
        return Said(role=role, text=self._text())

    def _text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        chunks = [chunk for chunk in self.content if chunk.get("type") != "tool_reference"]
        if any(not isinstance(chunk.get("text"), str) for chunk in chunks):
            raise BadRequest("Conversations take text; leave other chunks out.", param="inputs")
        return "".join(chunk["text"] for chunk in chunks)


class ToolEntry(BaseModel):
    """Something that the answer may use."""

    model_config = ConfigDict(extra="ignore")

    type: str
    library_ids: Items[str] = []


class AskFields(BaseModel):
    """What every request for an answer has. Unknown fields are ignored, and named in a header."""

    model_config = ConfigDict(extra="allow")

    inputs: Annotated[Items[InputEntry], BeforeValidator(_as_entries)] = []
    stream: bool = False
    store: bool | None = None
    handoff_execution: Literal["client", "server"] | None = None
    completion_args: CompletionArgs | None = None

    def ask(self, defaults: dict[str, Any] | None = None) -> Ask:
        """What to put into the conversation, whose own arguments are the ``defaults``."""
        args = CompletionArgs.model_validate((defaults or {}) | self._args())
        return Ask(
            inputs=tuple(entry.said() for entry in self.inputs),
            controls=args.controls(),
            own_temperature=args.temperature is not None,
            keep=self.store is not False,
        )

    def ignored_header(self) -> dict[str, str]:
        """Names the parameters that have no effect here."""
        return ignored_header(self.model_extra)

    def _args(self) -> dict[str, Any]:
        args = self.completion_args
        return args.model_dump(exclude_none=True, exclude_defaults=True) if args else {}


class StartBody(AskFields):
    """The request of ``POST /v1/conversations``."""

    model: str | None = None
    agent_id: str | None = None
    instructions: str | None = None
    name: str | None = Field(default=None, max_length=200)
    description: str | None = Field(default=None, max_length=2000)
    tools: Items[ToolEntry] | None = None
    metadata: Metadata | None = None
    items: list[Any] | None = None

    def setup(self) -> Setup:
        """How the conversation is to be held.

        Raises:
            BadRequest: it is OpenAI's request, names an agent or no model, or a tool that is not
                there.
        """
        if self.items is not None and not self.inputs:
            raise BadRequest(
                "This server holds conversations in Mistral's form: send inputs and model, not "
                "items. OpenAI's clients can use /v1/chat/completions.",
                param="items",
            )
        if self.agent_id is not None:
            raise BadRequest("There are no agents here yet. Name a model.", param="agent_id")
        if self.model is None:
            raise BadRequest(
                "Name the model that answers; GET /v1/models lists them.", param="model"
            )
        return Setup(
            model=self.model,
            library_ids=self._libraries(),
            instructions=self.instructions,
            name=self.name,
            description=self.description,
            completion_args=self._args(),
            extra=self.metadata or {},
        )

    def _libraries(self) -> tuple[str, ...]:
        libraries: list[str] = []
        for tool in self.tools or []:
            if tool.type != "document_library":
                raise BadRequest(
                    f"The tool {tool.type} is not there. Conversations know document_library.",
                    param="tools",
                )
            libraries += tool.library_ids
        found = tuple(dict.fromkeys(libraries))
        if len(found) > _MOST_LIBRARIES:
            raise BadRequest(f"Name at most {_MOST_LIBRARIES} libraries.", param="tools")
        return found


class AppendBody(AskFields):
    """The request of ``POST /v1/conversations/{id}``."""


class RestartBody(AskFields):
    """The request of ``POST /v1/conversations/{id}/restart``."""

    from_entry_id: str
