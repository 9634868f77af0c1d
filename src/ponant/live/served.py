"""The embedder that this installation serves, as live knowledge wants it."""

import asyncio
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ponant.hub import Catalogue
from ponant.live.indexing.embedding import EmbedderSource
from ponant.live.port import Embedder
from ponant.serving import Models
from ponant.serving.port import TextModel

_MODEL = "embed"
_PROMPT_TOKENS = 8  # what stands before a passage, such as "passage: "


class ServedEmbedder:
    """A served model behind the port; vectors of another model's weights never mix with its own."""

    def __init__(self, model: TextModel, identity: str, max_tokens: int) -> None:
        self.identity = identity
        self.max_tokens = max_tokens
        self._model = model

    async def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"]
    ) -> NDArray[np.float32]:
        """Vectors of shape (len(texts), dimension), rows of length 1."""
        return (await self._model.embed(texts, kind)).vectors

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, with the marks around it but not the prompt before it."""
        return [len(ids) for ids in await asyncio.gather(*map(self._model.tokenize, texts))]


def served_embedder(models: Models, catalogue: Catalogue) -> EmbedderSource:
    """Waits for the embedding model of this machine, loaded."""

    async def find() -> Embedder:
        model = await models.embedder(_MODEL)
        await model.embed(["ready"])  # waits while it loads, or says why it cannot be
        installed = await asyncio.to_thread(catalogue.get, model.card.id)
        identity = f"{installed.id}:{installed.sha256[:16]}"
        return ServedEmbedder(model, identity, model.card.context_length - _PROMPT_TOKENS)

    return find
