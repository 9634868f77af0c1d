"""An embedder that takes text: its tokenizer and its encoder together; runs in the worker alone."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ponant.engine import Encoder
from ponant.text.tokenizer import Tokenizer

_BATCH_TOKENS = 2048  # of a batch, padding counted: short enough that others get their turn
_BATCH_ROWS = 32


class TextTooLongError(ValueError):
    """A text has more tokens than the model reads.

    Attributes:
        place: the text's place among those given, from 0.
        tokens: how many it has, with what goes before and after it.
    """

    def __init__(self, place: int, tokens: int) -> None:
        super().__init__(f"text {place + 1} has {tokens} tokens")
        self.place = place
        self.tokens = tokens


class TextEncoder:
    """Turns texts into token ids, and token ids into vectors. Safe to use from many threads.

    Args:
        encoder: the model.
        tokenizer: its vocabulary.
        prompts: what is put before a text, by kind.
    """

    def __init__(self, encoder: Encoder, tokenizer: Tokenizer, prompts: Mapping[str, str]) -> None:
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._prompts = prompts

    @property
    def dimension(self) -> int:
        return self._encoder.dimension

    @property
    def max_tokens(self) -> int:
        return self._encoder.max_tokens

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text as the model expects it, without a prompt before it."""
        return self._tokenizer.encode_prompt(text)

    def read(self, texts: Sequence[str], kind: str) -> list[list[int]]:
        """Token ids of texts, each with the prompt of its kind before it.

        Raises:
            TextTooLongError: a text has more tokens than the model reads.
        """
        before = self._prompts.get(kind, "")
        rows = self._tokenizer.encode_prompts([before + text for text in texts])
        for place, row in enumerate(rows):
            if len(row) > self.max_tokens:
                raise TextTooLongError(place, len(row))
        return rows

    def encode(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Vectors of shape (len(rows), dimension) for token ids.

        Raises:
            ValueError: a row is empty, too long, or has an id that the model lacks.
        """
        return self._encoder.encode(rows)


def batches(rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Places of rows in short batches, those of like length together."""
    batch: list[int] = []
    for place in sorted(range(len(rows)), key=lambda place: len(rows[place])):
        padded = len(rows[place]) * (len(batch) + 1)
        if batch and (padded > _BATCH_TOKENS or len(batch) >= _BATCH_ROWS):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
