"""An embedder that takes no time: words hashed into signs, so that texts that share words are near.

Feature hashing: Weinberger et al., ICML 2009.
"""

import re
import zlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.live_peers.embedding import DIMENSION

_WORD = re.compile(r"\w+")


def vectors_of(texts: Sequence[str]) -> NDArray[np.float32]:
    """Rows of length 1, shape (len(texts), DIMENSION)."""
    rows = np.full((len(texts), DIMENSION), 1e-3, np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in _WORD.findall(text.lower()):
            digest = zlib.crc32(word.encode())
            row[digest % DIMENSION] += 1 if digest & (1 << 20) else -1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def words_of(texts: Sequence[str]) -> list[int]:
    """How many words each text has."""
    return [len(_WORD.findall(text)) for text in texts]


class HashingEmbedder:
    """The same behind Ponant's port."""

    identity = "bench-hash"
    max_tokens = 500

    async def embed(
        self,
        texts: Sequence[str],
        kind: Literal["query", "passage"],  # noqa: ARG002 - both are embedded alike
    ) -> NDArray[np.float32]:
        return vectors_of(texts)

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return words_of(texts)
