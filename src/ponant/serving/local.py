"""A model in a worker of ours, asked in text."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from ponant.engine import Request, Tag
from ponant.kit import new_id
from ponant.kit.errors import BadRequest, ContextTooLong
from ponant.serving import wire
from ponant.serving.answer import Answer
from ponant.serving.backend import CAPABILITIES
from ponant.serving.fim import PLAIN_END, fim_prompt, plain_prompt
from ponant.serving.port import (
    ChatRequest,
    CompletionRequest,
    Controls,
    Delta,
    Embeddings,
    InputKind,
    ModelCard,
    Relevances,
)
from ponant.serving.supervisor import State, WorkerProcess
from ponant.serving.tagging import token_tags
from ponant.serving.voice import LazyVoice, Voice, standing
from ponant.text import Rendered, Role, ThinkingParser, Tool, ToolCallParser, grammar
from ponant.text.mistral import MistralTemplate
from ponant.text.template import ChatTemplate, TemplateStopped, hurried

_SHORT = 2000  # characters of a prompt that is read in a fraction of a millisecond
_A_MOMENT = 0.005  # seconds that the server may stand still for a template


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids, and what they hold that may have to be forgotten."""

    ids: list[int]
    tags: tuple[Tag, ...] = ()


class LocalModel:
    """A `TextModel` whose tokens come from a worker process.

    Args:
        card: what is known of the model before it is loaded.
        worker: the process that holds it, started at the first request.
        voice: its text side.
    """

    def __init__(self, card: ModelCard, worker: WorkerProcess, voice: LazyVoice) -> None:
        self._card = card
        self._worker = worker
        self._voice = voice
        self._seen: tuple[State, str, wire.Loaded | None] | None = None
        self._known = card  # as it stood when that was seen

    @property
    def card(self) -> ModelCard:
        loaded = self._worker.loaded
        state, detail = standing(self._worker, self._voice)
        seen = state, detail, loaded
        if self._seen != seen:
            self._seen, self._known = seen, self._described(state, detail)
        return self._known

    def _described(self, state: State, detail: str) -> ModelCard:
        loaded = self._worker.loaded
        card = msgspec.structs.replace(
            self._card,
            state=state,
            detail=detail or self._card.detail,
            capabilities=CAPABILITIES[self._worker.backend],
        )
        if loaded is None or loaded.info is None:
            return card
        return msgspec.structs.replace(
            card,
            context_length=loaded.info.context_length,
            capabilities=loaded.info.capabilities,
        )

    def start(self) -> None:
        """Begin to load the model."""
        self._worker.start()
        self._voice.start()

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Delta]:
        voice = await self._ready()
        if voice.template is None:
            raise BadRequest(
                f"The model {self._card.id} has no chat template, so it only completes text. "
                "Use /v1/completions or choose another model.",
                param="model",
            )
        tools = () if request.tool_choice == "none" else request.tools
        rendered, prompt, controls = await _prepared_soon(request, tools, voice, voice.template)
        last = request.messages[-1] if request.messages else None
        continues = last is not None and last.prefix and last.role is Role.ASSISTANT
        if last is not None and continues and last.content:
            yield Delta(text=last.content)
        answer = Answer(
            voice.tokenizer,
            (*request.controls.stop, *voice.stops, *rendered.stops),
            thinking=_thinking(voice, rendered),
            calls=ToolCallParser(voice.style, [tool.name for tool in tools]) if tools else None,
            trim=voice.trim and not continues,
        )
        async for delta in self._generate(answer, prompt, controls, "messages"):
            yield delta

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta]:
        voice = await self._ready()
        stops = request.controls.stop
        if request.suffix is None:
            ids = await asyncio.to_thread(_prompt, voice, request.prompt)
        else:
            ids, more = await asyncio.to_thread(_middle, voice, request.prompt, request.suffix)
            stops = (*stops, *more)
        answer = Answer(voice.tokenizer, stops)
        async for delta in self._generate(answer, Prompt(ids), request.controls, "prompt"):
            yield delta

    async def embed(self, texts: Sequence[str], kind: InputKind = "passage") -> Embeddings:
        del texts, kind
        raise BadRequest(
            f"The model {self._card.id} does not embed. Choose an embedding model, such as embed.",
            param="model",
        )

    async def rerank(self, query: str, texts: Sequence[str]) -> Relevances:
        del query, texts
        raise BadRequest(
            f"The model {self._card.id} does not rerank. Choose one that does.", param="model"
        )

    async def tokenize(self, text: str) -> list[int]:
        voice = await self._voice.get()
        return await asyncio.to_thread(voice.tokenizer.encode, text)

    async def forget(self, names: Sequence[str]) -> None:
        """Drop what is kept of prompts under these tags, now or when the worker starts."""
        await self._worker.forget(names)

    async def _ready(self) -> Voice:
        """Load the worker and the text side beside each other."""
        self._worker.start()
        voice = await self._voice.get()
        await self._worker.ready()
        return voice

    async def _generate(
        self, answer: Answer, prompt: Prompt, controls: Controls, param: str
    ) -> AsyncGenerator[Delta]:
        voice = await self._voice.get()
        request = Request(
            id=new_id("gen"),
            prompt=prompt.ids,
            tags=prompt.tags,
            max_tokens=self._room(len(prompt.ids), controls.max_tokens, param),
            sampling=controls.sampling,
            stop_tokens=voice.tokenizer.stop_tokens,
            min_tokens=controls.min_tokens,
            grammar=controls.grammar,
            cache_scope=controls.cache_scope,
            owner=controls.owner,
            priority=controls.priority,
            logprobs=controls.logprobs,
            prompt_logprobs=controls.prompt_logprobs,
        )
        stream = answer.stream(self._worker.generate(request), request)
        try:
            async for delta in stream:
                yield delta
        finally:
            await stream.aclose()

    def _room(self, prompt: int, wanted: int | None, param: str) -> int:
        """Tokens that the answer may have.

        Raises:
            ContextTooLong: prompt and answer do not fit the context.
        """
        limit = self.card.context_length
        room = limit - prompt
        if wanted is None and room >= 1:
            return room
        if wanted is not None and wanted <= room:
            return wanted
        asked = "" if wanted is None else f" and {wanted} more are asked for"
        raise ContextTooLong(
            f"The prompt has {prompt} tokens{asked}, but {self._card.id} takes {limit} tokens for "
            "prompt and answer together. Shorten the prompt or ask for fewer tokens.",
            param=param,
        )


async def _prepared_soon(
    request: ChatRequest,
    tools: Sequence[Tool],
    voice: Voice,
    template: ChatTemplate | MistralTemplate,
) -> tuple[Rendered, Prompt, Controls]:
    """As `_prepared`: at once where that takes a moment, else in a thread.

    A thread's way to the interpreter and back takes longer than a short prompt, and where requests
    come in a burst it is several times that.
    """
    if _is_short(request):
        with suppress(TemplateStopped), hurried(_A_MOMENT):
            return _prepared(request, tools, voice, template)
    return await asyncio.to_thread(_prepared, request, tools, voice, template)


def _is_short(request: ChatRequest) -> bool:
    plain = not (request.tools or request.passages or request.tags)
    return plain and sum(len(one.content) for one in request.messages) <= _SHORT


def _prepared(
    request: ChatRequest,
    tools: Sequence[Tool],
    voice: Voice,
    template: ChatTemplate | MistralTemplate,
) -> tuple[Rendered, Prompt, Controls]:
    """All that takes long before a chat begins, in one go for one thread."""
    rendered = template.render(request.messages, tools=tools, passages=request.passages)
    ids = voice.tokenizer.encode_template(rendered)
    tags = token_tags(voice.tokenizer, ids, request.tags)
    return rendered, Prompt(ids, tags), _held_to_tools(request, voice)


def _prompt(voice: Voice, prompt: str | list[int]) -> list[int]:
    if isinstance(prompt, str):
        prompt = voice.tokenizer.encode_prompt(prompt)
    if not prompt:
        raise BadRequest("The prompt is empty.", param="prompt")
    return prompt


def _middle(
    voice: Voice, prompt: str | list[int], suffix: str
) -> tuple[list[int], tuple[str, ...]]:
    """The prompt for the text before ``suffix``, and the strings that end it."""
    before = prompt if isinstance(prompt, str) else _text_of(voice, prompt)
    trained = fim_prompt(voice.tokenizer, before, suffix)
    if trained is not None:
        return trained, ()
    return voice.tokenizer.encode_prompt(plain_prompt(before, suffix)), (PLAIN_END,)


def _text_of(voice: Voice, ids: list[int]) -> str:
    unknown = next((token for token in ids if not voice.tokenizer.name(token)), None)
    if unknown is not None:
        raise BadRequest(
            f"The prompt cannot be read: there is no token {unknown} in this vocabulary.",
            param="prompt",
        )
    return voice.tokenizer.decode(ids)


def _thinking(voice: Voice, rendered: Rendered) -> ThinkingParser | None:
    if not voice.thinks:
        return None
    return ThinkingParser(begun=rendered.text.rstrip().endswith("<think>"))


def _held_to_tools(request: ChatRequest, voice: Voice) -> Controls:
    """The controls, with a grammar where the answer must be a tool call.

    Raises:
        BadRequest: the tool asked for is not among those given, or a schema is wrong.
    """
    if request.tool_choice in {"auto", "none"}:
        return request.controls
    try:
        source = grammar.tool_call(
            request.tools,
            request.tool_choice,
            voice.style,
            parallel=request.parallel_tool_calls is True,
        )
    except ValueError as e:
        raise BadRequest(f"tool_choice cannot be used: {e}.", param="tool_choice") from e
    return msgspec.structs.replace(request.controls, grammar=source)
