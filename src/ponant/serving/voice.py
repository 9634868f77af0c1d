"""What turns a model's text into tokens: its tokenizer, its template and its ways of ending."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponant.engine.weights.gguf import GgufFile
from ponant.hub import InstalledModel
from ponant.kit.errors import SetupError, Unavailable
from ponant.kit.memory import give_memory_back
from ponant.serving.echo import ECHO_TEMPLATE, load_echo_tokenizer
from ponant.serving.supervisor import State, WorkerProcess
from ponant.text import ENVELOPE, MISTRAL, MISTRAL_NAMED, ToolStyle, style_of
from ponant.text.mistral import MistralTemplate
from ponant.text.template import ChatTemplate
from ponant.text.templates import own_template
from ponant.text.tokenizer import Tokenizer, has_chat_format, load_tokenizer

BASE_TEMPLATE = "base"

_HEAD_START = 0.5  # seconds; a worker takes longer to load
_THINKING_MARKS = ("<think>", "[THINK]")


@dataclass(frozen=True, slots=True)
class Voice:
    """A model's text side.

    Attributes:
        template: None for a model that only continues text.
        stops: strings that end an answer to the template, beside those of the request.
        trim: whether white space before an answer belongs to the template.
        style: how the model writes tool calls.
        thinks: whether it may think before it answers.
    """

    tokenizer: Tokenizer
    template: ChatTemplate | MistralTemplate | None
    stops: tuple[str, ...] = ()
    trim: bool = False
    style: ToolStyle = ENVELOPE
    thinks: bool = False


class LazyVoice:
    """A voice that is loaded at the first need, once, in a thread.

    Args:
        name: the model, for messages.
        load: builds it.
    """

    def __init__(self, name: str, load: Callable[[], Voice]) -> None:
        self._name = name
        self._load = load
        self._voice: Voice | None = None
        self._loading = asyncio.Lock()
        self._early: asyncio.Task[Voice] | None = None
        self.fault = ""

    @property
    def loaded(self) -> bool:
        return self._voice is not None

    def start(self) -> None:
        """Begin to load it; `get` tells how that went."""
        if self._early is None:
            self._early = asyncio.create_task(self._get_soon())
            self._early.add_done_callback(_look_at)

    async def _get_soon(self) -> Voice:
        # The library that parses a vocabulary holds the interpreter meanwhile, which is a second
        # for the starter's: a server that starts answers its first requests before.
        await asyncio.sleep(_HEAD_START)
        return await self.get()

    async def get(self) -> Voice:
        """The voice.

        Raises:
            Unavailable: it cannot be loaded; the message, which stays in ``fault``, says why.
        """
        async with self._loading:
            if self._voice is None:
                try:
                    self._voice = await asyncio.to_thread(self._load)
                    give_memory_back()
                except SetupError as e:
                    self.fault = e.message
                    raise Unavailable(f"The model {self._name} cannot be used. {e.message}") from e
            return self._voice


def standing(worker: WorkerProcess, voice: LazyVoice) -> tuple[State, str]:
    """The state of a model that needs both, and why it is not ready."""
    if voice.fault:
        return "failed", voice.fault
    if worker.state == "ready" and not voice.loaded:
        return "starting", "The model's tokenizer is being loaded."
    return worker.state, worker.detail


def _look_at(task: asyncio.Task[Voice]) -> None:
    """Take note of a failure, which stays in ``fault``, so that asyncio does not complain."""
    if not task.cancelled():
        task.exception()


def load_voice(model: InstalledModel, cache: Path) -> Voice:
    """The text side of a model on disk; takes a second or two.

    Raises:
        SetupError: its tokenizer or its template cannot be used.
    """
    tokenizer = load_tokenizer(model.path, cache)
    own = None if model.template is None else own_template(model.template)
    source = tokenizer.chat_template if own is None else own.source
    if source is None:
        return _mistral_voice(tokenizer)
    return Voice(
        tokenizer,
        _template(source, tokenizer, own.document_stops if own else ()),
        stops=own.stops if own else (),
        trim=own is not None and own.trim,
        style=style_of(source),
        thinks=any(mark in source for mark in _THINKING_MARKS),
    )


def _mistral_voice(tokenizer: Tokenizer) -> Voice:
    """The text side of a model without a template: its vocabulary may name one of Mistral's."""
    version = tokenizer.details.mistral
    if version is None:
        return Voice(tokenizer, None)
    return Voice(
        tokenizer,
        MistralTemplate(version),
        style=MISTRAL if tokenizer.special_id("[ARGS]") is None else MISTRAL_NAMED,
        thinks=tokenizer.special_id("[THINK]") is not None,
    )


def load_echo_voice() -> Voice:
    """The text side of the echo model."""
    tokenizer = load_echo_tokenizer()
    return Voice(tokenizer, _template(ECHO_TEMPLATE, tokenizer))


@dataclass(frozen=True, slots=True)
class Facts:
    """What a model's file says without its vocabulary being loaded; 0 where it does not say."""

    context_length: int = 0
    chat: bool = False
    fim: bool = False


def read_facts(model: InstalledModel) -> Facts:
    """Read the header of a model that generates.

    Raises:
        ModelFileError: the file is damaged.
    """
    if model.format != "gguf":
        return _folder_facts(model)
    metadata = GgufFile(model.path).metadata
    length = metadata.get(f"{metadata.get('general.architecture')}.context_length", 0)
    return Facts(
        context_length=int(length),
        chat=model.template is not None or "tokenizer.chat_template" in metadata,
        fim=any(name.startswith("tokenizer.ggml.fim_") for name in metadata),
    )


def _folder_facts(model: InstalledModel) -> Facts:
    config: dict[str, Any] = {}
    for name in ("params.json", "config.json"):
        with suppress(OSError, ValueError):
            config |= json.loads((model.path / name).read_text(encoding="utf-8"))
    config |= config.get("text_config") or {}
    length = config.get("max_position_embeddings") or config.get("max_seq_len") or 0
    return Facts(
        context_length=length if isinstance(length, int) else 0,
        chat=model.template is not None or has_chat_format(model.path),
    )


def _template(
    source: str, tokenizer: Tokenizer, document_stops: tuple[str, ...] = ()
) -> ChatTemplate:
    names = ("" if token is None else tokenizer.name(token) for token in _ends(tokenizer))
    return ChatTemplate(source, *names, document_stops=document_stops)


def _ends(tokenizer: Tokenizer) -> tuple[int | None, int | None]:
    return tokenizer.bos, tokenizer.eos
