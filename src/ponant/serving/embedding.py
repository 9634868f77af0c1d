"""An embedder in a worker of ours, asked in text."""

from collections.abc import Sequence

from ponant.kit.errors import BadRequest
from ponant.serving import wire
from ponant.serving.encoder_model import EncoderModel, usage_of
from ponant.serving.port import Embeddings, InputKind


class LocalEmbedder(EncoderModel):
    """A `TextModel` that embeds and does nothing else."""

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
            told = f"Text {found.place + 1} has {found.tokens} tokens"
            raise self.too_long(told, "input")
        return Embeddings(vectors=found.array(), usage=usage_of(found))

    def refusal(self) -> BadRequest:
        return BadRequest(
            f"The model {self._card.id} only embeds. Choose a model that generates, such as "
            "starter.",
            param="model",
        )
