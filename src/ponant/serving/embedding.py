"""An embedder in a worker of ours, asked in text."""

from collections.abc import Sequence

import msgspec

from ponant.engine import Usage
from ponant.kit.errors import BadRequest, ContextTooLong
from ponant.serving import wire
from ponant.serving.port import Embeddings, InputKind, ModelCard
from ponant.serving.supervisor import WorkerProcess
from ponant.serving.unusable import Refusing


class LocalEmbedder(Refusing):
    """A `TextModel` that embeds and does nothing else.

    The worker holds the tokenizer, too: the one of a multilingual embedder takes 250 MB, and the
    process that asks stays small.

    Args:
        card: what is known of the model before it is loaded.
        worker: the process that holds it, started at the first request.
    """

    def __init__(self, card: ModelCard, worker: WorkerProcess) -> None:
        self._card = card
        self._worker = worker

    @property
    def card(self) -> ModelCard:
        loaded = self._worker.loaded
        return msgspec.structs.replace(
            self._card,
            state=self._worker.state,
            detail=self._worker.detail,
            context_length=loaded.max_tokens if loaded else self._card.context_length,
            dimension=loaded.dimension if loaded else self._card.dimension,
        )

    def start(self) -> None:
        """Begin to load the model."""
        self._worker.start()

    async def embed(self, texts: Sequence[str], kind: InputKind = "passage") -> Embeddings:
        """Vectors for texts, in their order.

        Raises:
            BadRequest: there is nothing to embed.
            ContextTooLong: a text is longer than the model reads.
        """
        if not texts:
            raise BadRequest("There is no text to embed.", param="input")
        found = await self._worker.embed(texts, kind)
        if isinstance(found, wire.TooLong):
            raise ContextTooLong(
                f"Text {found.place + 1} has {found.tokens} tokens, but {self._card.id} reads "
                f"{self.card.context_length}. Split it into shorter pieces.",
                param="input",
            )
        usage = Usage(prompt_tokens=found.tokens, completion_tokens=0)
        return Embeddings(vectors=found.array(), usage=usage)

    async def tokenize(self, text: str) -> list[int]:
        return await self._worker.tokenize(text)

    def refusal(self) -> BadRequest:
        return BadRequest(
            f"The model {self._card.id} only embeds. Choose a model that generates, such as "
            "starter.",
            param="model",
        )
