"""How far a search trusts its keywords beside its vectors.

A question in another language than the passages, or of words that are everywhere, has a list of
keywords that are far in meaning; weighed like the other list, it drowns what the vectors
found. So the keyword list counts for less, the more of its first passages the vectors do not have.
A short list, such as that of a name that stands once, keeps nearly all of its weight.
"""

from collections.abc import Collection, Sequence

LOOKED_AT = 10  # of the first passages by keywords
LEAST_TRUST = 0.4


def trust(by_keyword: Sequence[int], by_vector: Collection[int]) -> float:
    """What a place in the keyword list is worth, of one in the list of vectors: 1 at most."""
    if not by_vector:
        return 1.0
    there = set(by_vector)
    strange = sum(row not in there for row in by_keyword[:LOOKED_AT])
    return 1.0 - (1.0 - LEAST_TRUST) * strange / LOOKED_AT
