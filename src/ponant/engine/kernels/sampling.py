"""Draws tokens in C++, rows side by side on the kernels' threads."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponant.engine.kernels.library import CDraw, library
from ponant.engine.port import Token
from ponant.engine.sampling import Draw, DrawRows, Floats, Indices


def drawing(pool: int) -> DrawRows:
    """`DrawRows` on the threads of a ``pn_pool`` that nothing else uses meanwhile."""

    def draw_rows(draws: Sequence[Draw], logits: Floats) -> list[Token]:
        logits = np.ascontiguousarray(logits, np.float32)
        rows, vocabulary = logits.shape
        if rows != len(draws):
            raise ValueError(f"{rows} rows of logits for {len(draws)} draws")
        described = (CDraw * rows)()
        tops = [_describe(c, draw) for c, draw in zip(described, draws, strict=True)]
        if library().pn_sample(pool, _address(logits), vocabulary, described, rows):
            raise MemoryError("there is no memory left to draw tokens")
        return [_token(c, top) for c, top in zip(described, tops, strict=True)]

    return draw_rows


_Tops = tuple[Indices, Floats] | None


def _describe(c: CDraw, draw: Draw) -> _Tops:
    """Fill in a draw; the arrays it points to live as long as ``draw`` and what is returned."""
    sampling = draw.sampling
    c.uniform = draw.uniform
    c.temperature = sampling.temperature
    c.top_k = sampling.top_k
    c.top_p = sampling.top_p
    c.min_p = sampling.min_p
    c.given = -1 if draw.given is None else draw.given
    c.alternatives = -1 if draw.logprobs is None else draw.logprobs
    if draw.mask is not None:
        c.mask, c.mask_words = _address(draw.mask), len(draw.mask)
    if len(draw.biased):
        c.biased_count = len(draw.biased)
        c.biased, c.bias = _address(draw.biased), _address(draw.bias)
    if len(draw.seen):
        c.seen_count = len(draw.seen)
        c.seen, c.counts = _address(draw.seen), _address(draw.counts)
        c.repetition = sampling.repetition_penalty
        c.presence = sampling.presence_penalty
        c.frequency = sampling.frequency_penalty
    if len(draw.forbidden):
        c.forbidden, c.forbidden_count = _address(draw.forbidden), len(draw.forbidden)
    if not draw.logprobs:
        return None
    tops = np.empty(draw.logprobs, np.int32), np.empty(draw.logprobs, np.float32)
    c.top_tokens, c.top_logprobs = map(_address, tops)
    return tops


def _token(c: CDraw, tops: _Tops) -> Token:
    if c.alternatives < 0 or c.token < 0:
        return Token(c.token)
    pairs = () if tops is None else zip(tops[0].tolist(), tops[1].tolist(), strict=True)
    return Token(c.token, c.logprob, tuple(pairs))


def _address(array: NDArray[Any]) -> int:
    """Where an array of C order begins; quicker than its ``ctypes`` attribute."""
    address: int = array.__array_interface__["data"][0]
    return address
