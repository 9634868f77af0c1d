"""Runs a decoder over given tokens, without an engine around it."""

from collections.abc import Sequence

import numpy as np

from ponant.engine.cache import PAGE_TOKENS
from ponant.engine.decoder import Batch, Decoder, Floats, Indices

_ROWS = 64


def indices(values: Sequence[int]) -> Indices:
    return np.array(values, np.int32)


def forward(
    decoder: Decoder, tokens: Sequence[int], chunk: int = 512, prompt: int | None = None
) -> Floats:
    """Logits behind every token, shape (tokens, vocabulary); see `forward_together`."""
    return forward_together(decoder, [tokens], chunk, prompt)[0]


def forward_together(
    decoder: Decoder,
    sequences: Sequence[Sequence[int]],
    chunk: int = 512,
    prompt: int | None = None,
) -> list[Floats]:
    """Logits behind every token of sequences that run beside each other.

    Args:
        decoder: with pages for all of them.
        sequences: their tokens.
        chunk: most tokens of a sequence in one batch.
        prompt: tokens that come in chunks; those behind come one by one, as in decoding. None for
            all of them.
    """
    tables = _tables(sequences)
    done = [0] * len(sequences)
    found: list[list[Floats]] = [[] for _ in sequences]
    while any(at < len(tokens) for at, tokens in zip(done, sequences, strict=True)):
        counts = [
            _next(at, len(tokens), chunk, prompt)
            for at, tokens in zip(done, sequences, strict=True)
        ]
        running = [index for index, count in enumerate(counts) if count]
        hidden = decoder.forward(_batch(sequences, tables, done, counts, running))
        logits = np.concatenate(
            [decoder.logits(hidden[row : row + _ROWS]) for row in range(0, len(hidden), _ROWS)]
        )
        row = 0
        for index in running:
            found[index].append(logits[row : row + counts[index]])
            row += counts[index]
            done[index] += counts[index]
    return [np.concatenate(parts) for parts in found]


def pages_for(*lengths: int) -> int:
    """Pages that sequences of these lengths take together."""
    return sum(-(-length // PAGE_TOKENS) for length in lengths)


def _next(done: int, length: int, chunk: int, prompt: int | None) -> int:
    end = length if prompt is None else min(prompt, length)
    return min(chunk, end - done) if done < end else min(1, length - done)


def _tables(sequences: Sequence[Sequence[int]]) -> list[Indices]:
    """Pages of each sequence, scattered over the cache."""
    numbers = np.random.default_rng(5).permutation(pages_for(*map(len, sequences))) + 1
    ends = np.cumsum([pages_for(len(tokens)) for tokens in sequences])
    return [part.astype(np.int32) for part in np.split(numbers, ends[:-1])]


def _batch(
    sequences: Sequence[Sequence[int]],
    tables: Sequence[Indices],
    done: Sequence[int],
    counts: Sequence[int],
    running: Sequence[int],
) -> Batch:
    tokens = [sequences[index][done[index] : done[index] + counts[index]] for index in running]
    pages = [tables[index] for index in running]
    rows = sum(map(len, tokens))
    return Batch(
        tokens=indices([token for part in tokens for token in part]),
        starts=indices([0, *np.cumsum([len(part) for part in tokens])]),
        positions=indices([done[index] for index in running]),
        page_starts=indices([0, *np.cumsum([len(part) for part in pages])]),
        pages=np.concatenate(pages),
        wanted=indices(range(rows)),
    )
