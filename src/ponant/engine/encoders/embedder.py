"""Sentence embeddings from a BERT encoder."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ponant.engine.encoders.sequences import Executor, Sequences, checked
from ponant.engine.encoders.weights import BertWeights


class BertEncoder:
    """Embeds batches of token ids; an `Encoder` in the sense of the engine's port."""

    def __init__(self, weights: BertWeights, executor: Executor) -> None:
        self._weights = weights
        self._executor = executor

    @property
    def dimension(self) -> int:
        return self._weights.hidden

    @property
    def max_tokens(self) -> int:
        return self._weights.max_tokens

    @property
    def resident_bytes(self) -> int:
        """Memory that the weights take, the word table at its size on disk where it is mapped."""
        return self._executor.resident_bytes

    def encode(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Embed token sequences, special tokens included.

        Returns:
            Array of shape (len(batch), dimension), rows of length 1.

        Raises:
            ValueError: a sequence is empty, longer than `max_tokens`, or has an unknown id.
        """
        tokens, starts = checked(batch, self.max_tokens, self._weights.words.outputs)
        sequences = Sequences(tokens, starts, np.diff(starts), self._weights.pooling)
        vectors = self._executor.pooled(sequences)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: NDArray[np.float32] = vectors / np.maximum(norms, np.float32(1e-12))
        return unit
