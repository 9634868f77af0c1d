"""Turns a stream of tokens into a stream of text, whole characters only."""

import codecs
from collections.abc import Callable, Iterable


class Detokenizer:
    """Joins the bytes of tokens and gives out text as soon as its characters are whole.

    What `feed` and `finish` return, put together, is what decoding all tokens at once gives.

    Args:
        piece: the bytes of a token, as `Tokenizer.piece` tells them.
    """

    def __init__(self, piece: Callable[[int], bytes]) -> None:
        self._piece = piece
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, tokens: Iterable[int]) -> str:
        """The text that is certain after these tokens; may be empty."""
        return self._decoder.decode(b"".join(map(self._piece, tokens)))

    def finish(self) -> str:
        """What is left: U+FFFD where a character stayed incomplete, else nothing."""
        return self._decoder.decode(b"", final=True)
