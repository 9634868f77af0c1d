"""Draws tokens from logits, each row by itself: what else runs beside it changes nothing.

The order is logit bias, penalties, grammar mask, temperature, top-k, top-p, min-p, draw. A draw
takes one uniform number and finds it in the cumulative distribution of the tokens that are left,
in the order of their ids. The number of an answer's n-th token comes from the request's own
generator (PCG64), so that a seed gives the same answer however its tokens are batched, guessed
ahead or forced. This is the plain form; `kernels.sampling` does the same in C++.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ponant.engine.decoder import NOT_A_NUMBER
from ponant.engine.port import Request, Sampling, Token

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]
Mask = NDArray[np.uint32]

NO_TOKEN: Final = -1
"""Drawn where nothing is allowed."""

_LIKELIEST: Final = 1024  # looked at first; everything is sorted only where they hold too little
_UNIFORMS: Final = 64  # numbers taken from the generator at once
_NO_IDS: Final = np.empty(0, np.int32)
_NO_VALUES: Final = np.empty(0, np.float32)


def _no_ids() -> Indices:
    return _NO_IDS


def _no_values() -> Floats:
    return _NO_VALUES


@dataclass(frozen=True, slots=True)
class Draw:
    """How one row's token is found: all that a request's state comes down to.

    Attributes:
        uniform: where in the cumulative distribution to draw, from 0 to below 1.
        seen: ids that penalties touch, each once.
        counts: how often each of them stands in the output, shape (seen,).
        biased: ids with a bias.
        bias: shape (biased,).
        forbidden: ids that may come only where nothing else may.
        mask: a grammar's bitmask, lowest bit first; what it does not cover is not allowed.
        logprobs: alternatives to report, or None for no log-probability at all.
        given: a token that stands already and is only to be scored, or None.
    """

    sampling: Sampling
    uniform: float = 0.0
    seen: Indices = field(default_factory=_no_ids)
    counts: Floats = field(default_factory=_no_values)
    biased: Indices = field(default_factory=_no_ids)
    bias: Floats = field(default_factory=_no_values)
    forbidden: Indices = field(default_factory=_no_ids)
    mask: Mask | None = None
    logprobs: int | None = None
    given: int | None = None

    @property
    def plain(self) -> bool:
        """Whether the token is that of the highest score, and nothing more is asked."""
        untouched = self.mask is None and self.logprobs is None and self.given is None
        changes = len(self.seen) + len(self.biased) + len(self.forbidden)
        return untouched and not changes and self.sampling.temperature == 0


DrawRows = Callable[[Sequence[Draw], Floats], list[Token]]
"""Draws a token for each row of logits of shape (draws, vocabulary), which are left as they are.

A token's id is `NO_TOKEN` or `NOT_A_NUMBER` where there is none.
"""


def draw_rows(draws: Sequence[Draw], logits: Floats) -> list[Token]:
    """`DrawRows` in NumPy."""
    return [_draw(draw, row) for draw, row in zip(draws, logits, strict=True)]


class Sampler:
    """What one request has drawn so far, and how it draws next.

    Args:
        request: whose tokens these are.
    """

    def __init__(self, request: Request) -> None:
        sampling = request.sampling
        self._random = np.random.default_rng(sampling.seed)
        self._uniforms: list[float] = []
        self._greedy = sampling.temperature == 0
        self._min_tokens = request.min_tokens
        self._stops = np.array(request.stop_tokens, np.int32)
        self._produced = 0
        self._history = _History(request) if _penalises(sampling) else None
        self._draw = Draw(
            sampling,
            biased=np.array(list(sampling.logit_bias), np.int32),
            bias=np.array(list(sampling.logit_bias.values()), np.float32),
            logprobs=request.logprobs,
        )

    def note(self, token: int) -> None:
        """Take note of the answer's next token."""
        self._produced += 1
        if self._history is not None:
            self._history.add(token)

    def draw(self, ahead: Sequence[int] = (), mask: Mask | None = None) -> Draw:
        """How the token behind the answer so far and the tokens ``ahead`` of it is drawn."""
        place = self._produced + len(ahead)
        early = place < self._min_tokens and len(self._stops)
        seen, counts = (
            (_NO_IDS, _NO_VALUES) if self._history is None else self._history.arrays(ahead)
        )
        return replace(
            self._draw,
            uniform=0.0 if self._greedy else self._uniform(place),
            seen=seen,
            counts=counts,
            forbidden=self._stops if early else _NO_IDS,
            mask=mask,
        )

    def _uniform(self, place: int) -> float:
        while place >= len(self._uniforms):
            self._uniforms += self._random.random(_UNIFORMS).tolist()
        return self._uniforms[place]


class _History:
    """Which tokens a request has seen, and how often each stands in its output."""

    def __init__(self, request: Request) -> None:
        repeats = request.sampling.repetition_penalty != 1
        prompt = list(dict.fromkeys(request.prompt)) if repeats else []
        self._place = {token: place for place, token in enumerate(prompt)}
        self._seen = np.array(prompt, np.int32)
        self._counts = np.zeros(len(prompt), np.float32)

    def add(self, token: int) -> None:
        place = self._place.setdefault(token, len(self._place))
        if place == len(self._seen):  # doubled, so that a token costs little
            self._seen = np.append(self._seen, np.zeros(place + 16, np.int32))
            self._counts = np.append(self._counts, np.zeros(place + 16, np.float32))
        self._seen[place] = token
        self._counts[place] += 1

    def arrays(self, ahead: Sequence[int]) -> tuple[Indices, Floats]:
        """Ids and counts once the tokens ``ahead`` stand in the output, too."""
        size = len(self._place)
        seen, counts = self._seen[:size], self._counts[:size]
        if not ahead:
            return seen, counts
        added = list(dict.fromkeys(token for token in ahead if token not in self._place))
        places = self._place | {token: size + place for place, token in enumerate(added)}
        counts = np.append(counts, np.zeros(len(added), np.float32))
        for token in ahead:
            counts[places[token]] += 1
        return np.append(seen, np.array(added, np.int32)), counts


def _penalises(sampling: Sampling) -> bool:
    return (
        sampling.repetition_penalty != 1
        or sampling.presence_penalty != 0
        or sampling.frequency_penalty != 0
    )


def _draw(draw: Draw, logits: Floats) -> Token:
    token = draw.given if draw.given is not None else _choose(draw, logits)
    if token < 0 or draw.logprobs is None:
        return Token(token)
    return _score(logits, token, draw.logprobs)


def _choose(draw: Draw, logits: Floats) -> int:
    scores = _forbid(draw, _adjust(draw, logits))
    if not (scores < np.inf).all():
        return NOT_A_NUMBER
    if scores.max() == -np.inf:
        return NO_TOKEN
    if draw.sampling.temperature == 0:
        return int(scores.argmax())
    return _pick(scores, draw.sampling, draw.uniform)


def _adjust(draw: Draw, logits: Floats) -> Floats:
    """Logits with bias and penalties."""
    scores, sampling, seen = logits.copy(), draw.sampling, draw.seen
    scores[draw.biased] += draw.bias
    factor = np.float32(sampling.repetition_penalty)
    found = scores[seen]
    found = np.where(found > 0, found / factor, found * factor)
    presence = np.float32(sampling.presence_penalty) * (draw.counts > 0)
    scores[seen] = found - (presence + np.float32(sampling.frequency_penalty) * draw.counts)
    return scores


def _forbid(draw: Draw, scores: Floats) -> Floats:
    """Rule out what the grammar does not allow, and stop tokens that come too early."""
    if draw.mask is not None:
        scores[~unpack_mask(draw.mask, len(scores))] = -np.inf
    if not len(draw.forbidden):
        return scores
    later = scores.copy()
    later[draw.forbidden] = -np.inf
    # A grammar that has come to its end leaves nothing else.
    return later if later.max() > -np.inf else scores


def unpack_mask(words: Mask, size: int) -> NDArray[np.bool_]:
    """A grammar's bitmask as booleans, shape (size,); what it does not cover is not allowed."""
    bits = np.unpackbits(words.astype("<u4", copy=False).view(np.uint8), bitorder="little")[:size]
    return np.pad(bits, (0, size - len(bits))).astype(np.bool_)


def _pick(scores: Floats, sampling: Sampling, uniform: float) -> int:
    scaled = (scores - scores.max()) / np.float32(sampling.temperature)
    kept = _keep_likeliest(scaled, sampling.top_k, sampling.top_p)
    probabilities = np.exp(scaled if kept is None else scaled[kept])
    if sampling.min_p:
        probabilities[probabilities < np.float32(sampling.min_p)] = 0
    place = _invert(probabilities, uniform)
    return place if kept is None else int(kept[place])


def _keep_likeliest(scaled: Floats, top_k: int, top_p: float) -> NDArray[np.intp] | None:
    """Ids that top-k and then top-p leave, ascending; None for all."""
    if not top_k and top_p >= 1:
        return None
    kept = _sorted(scaled, top_k or _LIKELIEST)
    masses = np.exp(scaled[kept], dtype=np.float64)
    total = masses.sum() if top_k else np.exp(scaled).sum(dtype=np.float64)
    if not top_k and masses.sum() < top_p * total:
        kept = _sorted(scaled, len(scaled))
        masses = np.exp(scaled[kept], dtype=np.float64)
    if top_p < 1:
        before = np.cumsum(masses) - masses
        kept = kept[: max(1, int((before < top_p * total).sum()))]
    return np.sort(kept)


def _sorted(scaled: Floats, count: int) -> NDArray[np.intp]:
    """The likeliest ids from the first down; ties go to the lowest id."""
    if count >= len(scaled):
        return np.argsort(-scaled, kind="stable")
    least = np.partition(scaled, -count)[-count]
    likely = np.flatnonzero(scaled >= least)
    return likely[np.argsort(-scaled[likely], kind="stable")][:count]


def _invert(probabilities: Floats, uniform: float) -> int:
    """Where a uniform number falls in the cumulative distribution of unscaled probabilities."""
    edges = np.cumsum(probabilities, dtype=np.float64)
    place = int(np.searchsorted(edges, uniform * edges[-1], side="right"))
    last = int(np.flatnonzero(probabilities)[-1])
    return min(place, last)


def _score(logits: Floats, token: int, alternatives: int) -> Token:
    """A token with its log-probability and the likeliest alternatives."""
    if not (logits < np.inf).all():
        return Token(NOT_A_NUMBER)
    largest = logits.max()
    total = largest + np.log(np.exp(logits - largest).sum(dtype=np.float64))
    likely = _sorted(logits, alternatives) if alternatives else np.empty(0, np.intp)
    top = tuple((int(other), float(logits[other] - total)) for other in likely)
    return Token(token, float(logits[token] - total), top)
