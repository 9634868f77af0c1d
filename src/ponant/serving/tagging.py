"""Where in a prompt's tokens a piece of its text begins."""

from bisect import bisect_right
from collections.abc import Sequence

from ponant.engine import Tag
from ponant.text.tokenizer import Tokenizer


def token_tags(
    tokenizer: Tokenizer, ids: Sequence[int], pieces: Sequence[tuple[str, str]]
) -> tuple[Tag, ...]:
    """A tag for each piece of text and its name, at the token in which it begins.

    A piece that is not found as it was written, since the tokenizer changed it, counts from the
    prompt's beginning: more is forgotten with it than need be, and never less.
    """
    if not pieces:
        return ()
    ends: list[int] = []
    data = bytearray()
    for token in ids:
        data += tokenizer.piece(token)
        ends.append(len(data))
    return tuple(Tag(_token_at(ends, data.find(text.encode())), name) for text, name in pieces)


def _token_at(ends: Sequence[int], place: int) -> int:
    return bisect_right(ends, place) if place >= 0 else 0
