"""A language model of a few lines that reads its own paged cache."""

import numpy as np
from numpy.typing import NDArray

from ponant.engine.cache import PAGE_TOKENS
from ponant.engine.decoder import Batch, Floats, Indices, Shape, best_of

_WORD = np.uint64(0xFFFFFFFFFFFFFFFF)


class FakeDecoder:
    """Scores depend on the last token, so that text repeats, and a little on all before.

    What came before is read from the pages, so that a page with another's tokens shows in what
    is drawn.

    Args:
        vocabulary: number of token ids.
        pages: of the cache, without page 0.
        spread: standard deviation of the part of the scores that the last token decides.
    """

    form = "fp32"
    resident_bytes = 0

    def __init__(
        self, vocabulary: int = 64, pages: int = 256, context_length: int = 512, spread: float = 3.0
    ) -> None:
        self.shape = Shape(1, 4, 1, 1, 4, vocabulary, context_length)
        self.cache = np.full((pages + 1, PAGE_TOKENS), -1, np.int32)
        self.steps = 0
        self.rows = 0
        self.scored = 0
        """Rows whose scores were asked for."""
        self.fail_next: Exception | None = None
        self.poison: int | None = None
        """A token that makes scores behind it not a number."""
        self.refuses = False
        """Whether hidden states that are no numbers end the step, as the real decoders have it."""
        self._spread = spread

    def forward(self, batch: Batch) -> Floats:
        self.steps += 1
        self.rows += len(batch.tokens)
        if self.fail_next is not None:
            error, self.fail_next = self.fail_next, None
            raise error
        hidden = np.zeros((len(batch.tokens), self.shape.width), np.float32)
        for index, position in enumerate(batch.positions):
            first, stop = batch.starts[index : index + 2]
            pages = batch.pages[batch.page_starts[index] : batch.page_starts[index + 1]]
            self._run(batch.tokens[first:stop], int(position), pages, hidden[first:stop])
        if self.refuses and np.isnan(hidden).any():
            raise FloatingPointError("a hidden state is not a number")
        return hidden[batch.wanted]

    def logits(self, hidden: Floats) -> Floats:
        self.scored += len(hidden)
        ids = np.arange(self.shape.vocabulary_size, dtype=np.uint64)
        rows = []
        for row in hidden:
            near, far = (_mix(ids + np.uint64(int(value)) * np.uint64(2**33)) for value in row[:2])
            rows.append(self._spread * _normal(near) + 0.3 * _normal(far) + row[2])
        return np.array(rows, np.float32)

    def best(self, hidden: Floats) -> Indices:
        return best_of(self.logits(hidden))

    def read_page(self, page: int) -> bytes:
        return self.cache[page].tobytes()

    def write_page(self, page: int, data: bytes) -> None:
        self.cache[page] = np.frombuffer(data, np.int32)

    def close(self) -> None: ...

    def _run(
        self, tokens: NDArray[np.int32], position: int, pages: NDArray[np.int32], hidden: Floats
    ) -> None:
        assert 0 not in pages
        for offset, token in enumerate(tokens):
            at = position + offset
            self.cache[pages[at // PAGE_TOKENS], at % PAGE_TOKENS] = token
        whole = self.cache[pages].reshape(-1)[: position + len(tokens)]
        assert (whole >= 0).all(), "a slot was read that was never written"
        value = 7
        states = [value := (value * 1_000_003 + int(token) + 1) % 2**61 for token in whole]
        for offset in range(len(tokens)):
            at = position + offset
            hidden[offset, 0] = whole[at]
            hidden[offset, 1] = states[at] % 2**24
            hidden[offset, 2] = np.nan if whole[at] == self.poison else 0


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64."""
    values = (values + np.uint64(0x9E3779B97F4A7C15)) & _WORD
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _normal(values: NDArray[np.uint64]) -> Floats:
    """Sums of four 16-bit numbers: near enough to a normal distribution."""
    parts = values[:, None] >> np.array([0, 16, 32, 48], np.uint64) & np.uint64(0xFFFF)
    return ((parts.sum(1) / 65536 - 2) * np.sqrt(3)).astype(np.float32)
