"""Token sequences that lie end to end, as the executors take them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ponant.engine.encoders.weights import Pooling
from ponant.engine.models.spec import Floats


@dataclass(frozen=True, slots=True)
class Sequences:
    """A batch without padding.

    Attributes:
        tokens: ids of all sequences, one after the other.
        starts: where each begins, and the end of the last; one more than there are sequences.
        seconds: how many tokens of each precede its second part; its length where there is none.
        pooling: how a sequence's states become one.
    """

    tokens: NDArray[np.int32]
    starts: NDArray[np.int32]
    seconds: NDArray[np.int32]
    pooling: Pooling

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int32]:
        return np.diff(self.starts)

    def positions(self) -> NDArray[np.int32]:
        """Each token's place in its sequence."""
        places = np.arange(len(self.tokens), dtype=np.int32)
        return places - np.repeat(self.starts[:-1], self.lengths)

    def types(self, known: int) -> NDArray[np.int32]:
        """Each token's type: 1 in a second part, where the model knows two."""
        if known == 1:
            return np.zeros(len(self.tokens), np.int32)
        return (self.positions() >= np.repeat(self.seconds, self.lengths)).astype(np.int32)

    def some(self, indices: Sequence[int]) -> "Sequences":
        """The sequences at ``indices``, in that order."""
        parts = [self.tokens[self.starts[i] : self.starts[i + 1]] for i in indices]
        return Sequences(
            np.concatenate(parts),
            bounds([len(part) for part in parts]),
            self.seconds[indices],
            self.pooling,
        )


class Executor(Protocol):
    """Runs an encoder's layers."""

    @property
    def resident_bytes(self) -> int:
        """Memory that the weights take."""
        ...

    def pooled(self, sequences: Sequences) -> Floats:
        """The mean or the first of each sequence's last states, shape (sequences, hidden).

        Raises:
            EngineFailure: a state is not a number, or memory ran out.
        """
        ...


def bounds(lengths: Sequence[int]) -> NDArray[np.int32]:
    """Where sequences of these lengths begin when they lie end to end, and where the last ends."""
    starts = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=starts[1:])
    return starts


def checked(
    batch: Sequence[Sequence[int]], max_tokens: int, vocabulary: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Tokens and starts of sequences that a model can read.

    Raises:
        ValueError: a sequence is empty or too long, or has an id outside the vocabulary.
    """
    lengths = [len(sequence) for sequence in batch]
    for size in lengths:
        if not 0 < size <= max_tokens:
            raise ValueError(f"A sequence has {size} tokens; this model takes 1 to {max_tokens}.")
    starts = bounds(lengths)
    tokens = np.fromiter(chain.from_iterable(batch), np.int64, int(starts[-1]))
    if tokens.size and (tokens.min() < 0 or tokens.max() >= vocabulary):
        raise ValueError("A sequence has a token id outside the vocabulary.")
    return tokens.astype(np.int32), starts
