"""Relevance scores from a cross-encoder."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ponant.engine.encoders.sequences import Executor, Sequences, checked
from ponant.engine.encoders.weights import BertWeights, Scorer
from ponant.engine.models.spec import Floats, Linear


class BertReranker:
    """Scores pairs of token sequences; a `Reranker` in the sense of the engine's port."""

    def __init__(self, weights: BertWeights, scorer: Scorer, executor: Executor) -> None:
        self._weights = weights
        self._scorer = scorer
        self._executor = executor

    @property
    def max_tokens(self) -> int:
        return self._weights.max_tokens

    @property
    def resident_bytes(self) -> int:
        """Memory that the weights take."""
        return self._executor.resident_bytes

    def score(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> NDArray[np.float32]:
        """How well the second of each pair answers the first, from 0 to 1.

        Args:
            pairs: token ids of both parts, special tokens included.

        Returns:
            Array of shape (len(pairs),): the logistic function of the model's logit.

        Raises:
            ValueError: a pair is empty, longer than `max_tokens`, or has an unknown id.
        """
        batch = [[*first, *second] for first, second in pairs]
        tokens, starts = checked(batch, self.max_tokens, self._weights.words.outputs)
        seconds = np.array([len(first) for first, _ in pairs], np.int32)
        states = self._executor.pooled(Sequences(tokens, starts, seconds, "cls"))
        logits = _affine(np.tanh(_affine(states, self._scorer.dense)), self._scorer.output)
        scores: NDArray[np.float32] = np.float32(1) / (np.float32(1) + np.exp(-logits[:, 0]))
        return scores


def _affine(values: Floats, linear: Linear) -> Floats:
    result: Floats = values @ linear.matrix.values().T
    return result if linear.bias is None else result + linear.bias
