"""Orders what a search found by a cross-encoder, which reads query and passage together.

The live process finds the candidates; whoever asks it, and serves the models, orders them.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from ponant.live.port import Hit, SearchOptions, SearchResult

if TYPE_CHECKING:  # who only asks for searches serves no models
    from ponant.serving import Models

MOST_CANDIDATES = 50

_EACH = 4  # candidates for each hit that is wanted
_LEAST = 20

Rerank = Callable[[str, Sequence[str]], Awaitable[Sequence[float]]]
"""Scores texts for a query, from 0 to 1; raises NotFound where no model does."""


def served_reranker(models: "Models") -> Rerank:
    """The cross-encoder of this machine."""

    async def rerank(query: str, texts: Sequence[str]) -> Sequence[float]:
        model = await models.reranker()
        return (await model.rerank(query, texts)).scores

    return rerank


def candidates(limit: int, options: SearchOptions) -> tuple[int, SearchOptions]:
    """How many hits to ask for, and how, so that there is something to order."""
    asked = min(MOST_CANDIDATES, max(_LEAST, _EACH * limit))
    plain = msgspec.structs.replace(options, rerank=False, min_score=None)
    return max(limit, asked), plain


async def reranked(
    result: SearchResult, query: str, limit: int, options: SearchOptions, rerank: Rerank
) -> SearchResult:
    """The best ``limit`` of the hits, by the scores of the cross-encoder.

    Raises:
        NotFound: no model on this machine reranks.
        ContextTooLong: query and passage together are longer than it reads.
    """
    if not result.hits:
        return result
    scores = await rerank(query, [_shown(hit) for hit in result.hits])
    scored = [
        msgspec.structs.replace(hit, rerank_score=score)
        for hit, score in zip(result.hits, scores, strict=True)
        if options.min_score is None or score >= options.min_score
    ]
    # Stable, so that the search's own order decides between equals.
    best = sorted(scored, key=lambda hit: -(hit.rerank_score or 0.0))[:limit]
    return msgspec.structs.replace(result, hits=tuple(best))


def _shown(hit: Hit) -> str:
    return f"{hit.heading}\n{hit.text}" if hit.heading else hit.text
