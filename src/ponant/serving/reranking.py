"""A cross-encoder in a worker of ours, asked in text."""

from collections.abc import Sequence

import msgspec

from ponant.engine import Usage
from ponant.kit.errors import BadRequest, ContextTooLong
from ponant.serving import wire
from ponant.serving.port import ModelCard, Relevances
from ponant.serving.supervisor import WorkerProcess
from ponant.serving.unusable import Refusing


class LocalReranker(Refusing):
    """A `TextModel` that reranks and does nothing else.

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
        )

    def start(self) -> None:
        """Begin to load the model."""
        self._worker.start()

    async def rerank(self, query: str, texts: Sequence[str]) -> Relevances:
        """How well each text answers the query.

        Raises:
            BadRequest: there are no texts.
            ContextTooLong: a text is, with the query, longer than the model reads.
        """
        if not texts:
            raise BadRequest("There is no document to rank.", param="documents")
        found = await self._worker.rerank(query, texts)
        if isinstance(found, wire.TooLong):
            raise ContextTooLong(
                f"Document {found.place + 1} has {found.tokens} tokens with the query, but "
                f"{self._card.id} reads {self.card.context_length}. Split it into shorter pieces.",
                param="documents",
            )
        usage = Usage(prompt_tokens=found.tokens, completion_tokens=0)
        return Relevances(scores=found.scores, usage=usage)

    async def tokenize(self, text: str) -> list[int]:
        return await self._worker.tokenize(text)

    def refusal(self) -> BadRequest:
        return BadRequest(
            f"The model {self._card.id} only reranks. Choose a model that generates, such as "
            "starter, or one that embeds, such as embed.",
            param="model",
        )
