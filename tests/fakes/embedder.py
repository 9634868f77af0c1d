"""An embedder small enough for tests: words are hashed into a vector (feature hashing)."""

import asyncio
import re
import zlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ponant.kit.errors import ContextTooLong

_WORD = re.compile(r"\w+")


class FakeEmbedder:
    """Texts that share words are near each other.

    Attributes:
        passages: every passage that was embedded, in order.
        delay: seconds that each passage takes.
        dimension: with many, two words hardly ever fall together.
    """

    def __init__(
        self,
        *,
        identity: str = "fake-1",
        max_tokens: int = 256,
        delay: float = 0.0,
        dimension: int = 64,
    ) -> None:
        self.identity = identity
        self.max_tokens = max_tokens
        self.delay = delay
        self.dimension = dimension
        self.passages: list[str] = []

    async def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"]
    ) -> NDArray[np.float32]:
        if kind == "passage":
            self.passages.extend(texts)
            await asyncio.sleep(self.delay * len(texts))
        return np.stack([self._vector(text) for text in texts])

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(_WORD.findall(text)) for text in texts]

    def _vector(self, text: str) -> NDArray[np.float32]:
        words = _WORD.findall(text.lower())
        if len(words) > self.max_tokens:
            raise ContextTooLong(f"A text has {len(words)} words, the most is {self.max_tokens}.")
        vector = np.full(self.dimension, 1e-3, np.float32)
        for word in words:
            vector[zlib.crc32(word.encode()) % self.dimension] += 1
        return vector / np.float32(np.linalg.norm(vector))


class HeldEmbedder(FakeEmbedder):
    """It embeds no passage before it is let; questions it does."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()

    async def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"]
    ) -> NDArray[np.float32]:
        if kind == "passage":
            await self.let.wait()
        return await super().embed(texts, kind)
