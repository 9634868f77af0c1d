"""An embedder in a worker of ours, asked in text."""

import asyncio
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from ponant.engine import Usage
from ponant.kit.errors import BadRequest, ContextTooLong
from ponant.serving import wire
from ponant.serving.port import Embeddings, InputKind, ModelCard
from ponant.serving.supervisor import WorkerProcess
from ponant.serving.unusable import Refusing
from ponant.serving.voice import LazyVoice, standing
from ponant.text.tokenizer import Tokenizer

_BATCH_TOKENS = 2048  # of a batch, padding counted: short enough that others get their turn
_BATCH_ROWS = 32


class LocalEmbedder(Refusing):
    """A `TextModel` that embeds and does nothing else.

    Texts are sorted by length, so that a batch holds little padding, and go out in short batches:
    between two of them a query of somebody else is served.

    Args:
        card: what is known of the model before it is loaded.
        worker: the process that holds it, started at the first request.
        voice: its text side.
        prompts: what is put before a text, by kind.
    """

    def __init__(
        self, card: ModelCard, worker: WorkerProcess, voice: LazyVoice, prompts: dict[str, str]
    ) -> None:
        self._card = card
        self._worker = worker
        self._voice = voice
        self._prompts = prompts

    @property
    def card(self) -> ModelCard:
        loaded = self._worker.loaded
        state, detail = standing(self._worker, self._voice)
        return msgspec.structs.replace(
            self._card,
            state=state,
            detail=detail,
            context_length=loaded.max_tokens if loaded else self._card.context_length,
            dimension=loaded.dimension if loaded else self._card.dimension,
        )

    def start(self) -> None:
        """Begin to load the model."""
        self._worker.start()
        self._voice.start()

    async def embed(self, texts: Sequence[str], kind: InputKind = "passage") -> Embeddings:
        """Vectors for texts, in their order.

        Raises:
            BadRequest: there is nothing to embed.
            ContextTooLong: a text is longer than the model reads.
        """
        loaded, tokenizer = await self._ready()
        before = self._prompts.get(kind, "")
        rows = await asyncio.to_thread(
            lambda: [tokenizer.encode_prompt(before + text) for text in texts]
        )
        self._check(rows, loaded.max_tokens)
        vectors = np.empty((len(rows), loaded.dimension), dtype=np.float32)
        for batch in _batches(rows):
            vectors[batch] = await self._worker.embed([rows[place] for place in batch])
        total = sum(map(len, rows))
        return Embeddings(vectors=vectors, usage=Usage(prompt_tokens=total, completion_tokens=0))

    async def tokenize(self, text: str) -> list[int]:
        _, tokenizer = await self._ready()
        return tokenizer.encode_prompt(text)

    async def _ready(self) -> tuple[wire.Loaded, Tokenizer]:
        self._worker.start()
        voice = await self._voice.get()
        return await self._worker.ready(), voice.tokenizer

    def _check(self, rows: Sequence[Sequence[int]], limit: int) -> None:
        if not rows:
            raise BadRequest("There is no text to embed.", param="input")
        for place, row in enumerate(rows):
            if len(row) > limit:
                raise ContextTooLong(
                    f"Text {place + 1} has {len(row)} tokens, but {self._card.id} reads {limit}. "
                    "Split it into shorter pieces.",
                    param="input",
                )

    def refusal(self) -> BadRequest:
        return BadRequest(
            f"The model {self._card.id} only embeds. Choose a model that generates, such as "
            "starter.",
            param="model",
        )


def _batches(rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Places of rows, those of like length together."""
    batch: list[int] = []
    for place in sorted(range(len(rows)), key=lambda place: len(rows[place])):
        padded = len(rows[place]) * (len(batch) + 1)
        if batch and (padded > _BATCH_TOKENS or len(batch) >= _BATCH_ROWS):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
