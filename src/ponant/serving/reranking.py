"""A cross-encoder in a worker of ours, asked in text."""

from collections.abc import Sequence

from ponant.kit.errors import BadRequest
from ponant.serving import wire
from ponant.serving.encoder_model import EncoderModel, usage_of
from ponant.serving.port import Relevances


class LocalReranker(EncoderModel):
    """A `TextModel` that reranks and does nothing else."""

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
            told = f"Document {found.place + 1} has {found.tokens} tokens with the query"
            raise self.too_long(told, "documents")
        return Relevances(scores=found.scores, usage=usage_of(found))

    def refusal(self) -> BadRequest:
        return BadRequest(
            f"The model {self._card.id} only reranks. Choose a model that generates, such as "
            "starter, or one that embeds, such as embed.",
            param="model",
        )
