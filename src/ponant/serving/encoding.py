"""Encoders that take text: a tokenizer and a model together; they run in the worker alone."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ponant.engine import Encoder, Reranker
from ponant.text.tokenizer import Tokenizer

BATCH_TOKENS = 2048  # of a batch, padding counted: short enough that others get their turn
_BATCH_ROWS = 32

Pair = tuple[list[int], list[int]]
"""A query and a text, each with its special tokens."""


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


class TextReranker:
    """Scores texts for how well they answer a query. Safe to use from many threads.

    Args:
        reranker: the model.
        tokenizer: its vocabulary.
    """

    def __init__(self, reranker: Reranker, tokenizer: Tokenizer) -> None:
        self._reranker = reranker
        self._tokenizer = tokenizer

    @property
    def max_tokens(self) -> int:
        return self._reranker.max_tokens

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text as the model expects it."""
        return self._tokenizer.encode_prompt(text)

    def read(self, query: str, texts: Sequence[str]) -> list[Pair]:
        """Token ids of the query with each of the texts.

        Raises:
            TextTooLongError: a text has, together with the query, more tokens than the model reads.
        """
        first, *seconds = self._tokenizer.encode_many([query, *texts])
        pairs = [self._tokenizer.frame_pair(first, second) for second in seconds]
        for place, pair in enumerate(pairs):
            tokens = len(pair[0]) + len(pair[1])
            if tokens > self.max_tokens:
                raise TextTooLongError(place, tokens)
        return pairs

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """Relevances of shape (len(pairs),), from 0 to 1."""
        return self._reranker.score(pairs)


def batches(lengths: Sequence[int], most_tokens: int = BATCH_TOKENS) -> Iterator[list[int]]:
    """Places of rows of these lengths in short batches, those of like length together."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        padded = lengths[place] * (len(batch) + 1)
        if batch and (padded > most_tokens or len(batch) >= _BATCH_ROWS):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
