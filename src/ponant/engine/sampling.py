"""Draws a token from logits, each request by itself: what else runs beside it changes nothing.

The order is logit bias, penalties, grammar mask, temperature, top-k, top-p, min-p, draw. Everything
is float32; a draw takes one uniform number from the request's own generator (PCG64) and finds it
in the cumulative distribution.
"""

from collections import Counter
from typing import Final

import numpy as np
import torch
from torch import Tensor

from ponant.engine.port import Constraint, Request, Token

_LIKELIEST: Final = 1024  # sorted first; everything is sorted only where they hold too little


class Sampler:
    """What one request has drawn so far, and how it draws next.

    Args:
        request: whose tokens these are.
        constraint: the request's grammar at work, or None.
    """

    def __init__(self, request: Request, constraint: Constraint | None = None) -> None:
        self._request = request
        self._sampling = request.sampling
        self._constraint = constraint
        self._random = np.random.default_rng(request.sampling.seed)
        self._counts: Counter[int] = Counter()
        self._seen = frozenset(request.prompt)
        bias = request.sampling.logit_bias
        self._biased = torch.tensor(list(bias), dtype=torch.int64)
        self._bias = torch.tensor(list(bias.values()), dtype=torch.float32)

    def draw(self, logits: Tensor) -> int:
        """The next token.

        Args:
            logits: float32, shape (vocabulary,); left as they are.

        Raises:
            ValueError: the grammar allows no token.
        """
        scores = self._forbid(self._penalise(self._add_bias(logits)))
        token = int(scores.argmax()) if self._sampling.temperature == 0 else self._pick(scores)
        self._counts[token] += 1
        return token

    def _add_bias(self, logits: Tensor) -> Tensor:
        scores = logits.clone()
        scores[self._biased] += self._bias
        return scores

    def _penalise(self, scores: Tensor) -> Tensor:
        sampling = self._sampling
        output = torch.tensor(list(self._counts), dtype=torch.int64)
        if sampling.repetition_penalty != 1:
            seen = torch.tensor(sorted(self._seen | self._counts.keys()))
            found = scores[seen]
            factor = sampling.repetition_penalty
            scores[seen] = torch.where(found > 0, found / factor, found * factor)
        if sampling.presence_penalty or sampling.frequency_penalty:
            counts = torch.tensor(list(self._counts.values()), dtype=torch.float32)
            scores[output] -= sampling.presence_penalty + sampling.frequency_penalty * counts
        return scores

    def _forbid(self, scores: Tensor) -> Tensor:
        """Rule out what the grammar does not allow, and stop tokens that come too early."""
        if self._constraint is not None:
            allowed = unpack_mask(self._constraint.mask(), len(scores))
            scores[~torch.from_numpy(allowed)] = -torch.inf
            if scores.max() == -torch.inf:
                raise ValueError("the grammar allows no token here")
        if self._counts.total() < self._request.min_tokens and self._request.stop_tokens:
            stops = torch.tensor(self._request.stop_tokens)
            later = scores.index_fill(0, stops, -torch.inf)
            if later.max() > -torch.inf:  # a grammar that has come to its end leaves nothing else
                return later
        return scores

    def _pick(self, scores: Tensor) -> int:
        sampling = self._sampling
        scores = (scores - scores.max()) / sampling.temperature
        if sampling.top_k or sampling.top_p < 1:
            probabilities, tokens = _keep_likeliest(scores, sampling.top_k, sampling.top_p)
        else:
            probabilities, tokens = scores.softmax(-1), None
        if sampling.min_p:
            least = sampling.min_p * probabilities.max()
            probabilities = probabilities.where(probabilities >= least, 0)
        place = _invert(probabilities.numpy(), self._random.random())
        return place if tokens is None else int(tokens[place])


def unpack_mask(words: np.ndarray, size: int) -> np.ndarray:
    """A grammar's bitmask as booleans, shape (size,); what it does not cover is not allowed."""
    bits = np.unpackbits(words.astype("<u4", copy=False).view(np.uint8), bitorder="little")[:size]
    return np.pad(bits, (0, size - len(bits))).astype(bool)


def _keep_likeliest(scores: Tensor, top_k: int, top_p: float) -> tuple[Tensor, Tensor]:
    """Probabilities and ids of the tokens that top-k and then top-p leave, likeliest first."""
    size = len(scores)
    values, tokens = scores.topk(min(top_k or _LIKELIEST, size))
    total = values.logsumexp(-1) if top_k else scores.logsumexp(-1)
    if not top_k and (values - total).exp().sum() < top_p:
        values, tokens = scores.sort(descending=True)
    probabilities = (values - total).exp()
    before = probabilities.cumsum(0) - probabilities
    kept = max(1, int((before < top_p).sum()))
    return probabilities[:kept], tokens[:kept]


def _invert(probabilities: np.ndarray, uniform: float) -> int:
    """Where a uniform number falls in the cumulative distribution of unscaled probabilities."""
    edges = np.cumsum(probabilities, dtype=np.float64)
    place = int(np.searchsorted(edges, uniform * edges[-1], side="right"))
    last = int(np.flatnonzero(probabilities)[-1])
    return min(place, last)


def score(logits: Tensor, token: int, alternatives: int) -> Token:
    """A token with its log-probability and the likeliest alternatives.

    Args:
        logits: float32, shape (vocabulary,).
        token: which was drawn, or stands in the prompt.
        alternatives: how many others to name.
    """
    total = logits.logsumexp(-1)
    top: tuple[tuple[int, float], ...] = ()
    if alternatives:
        values, tokens = logits.topk(alternatives)
        top = tuple(zip(tokens.tolist(), (values - total).tolist(), strict=True))
    return Token(token, float(logits[token] - total), top)
