"""A unigram vocabulary that stays in its mapped file, parted by the compiled kernels.

The tokenizers library builds a trie of nodes that takes 250 MB for XLM-R's quarter of a million
pieces; here a sorted index takes two.
"""

import ctypes
import re
import weakref
from collections.abc import Iterable, Mapping
from ctypes import byref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponant.engine.kernels.library import CUnigramPieces, library

SPACE = "▁"
_RUNS = re.compile(" {2,}")


def normalise(text: str, forms: Mapping[int, str]) -> str:
    """Map code points, join runs of spaces, mark spaces, and begin with a mark."""
    mapped = _RUNS.sub(" ", text.translate(forms))
    if not mapped.startswith(" "):
        mapped = " " + mapped
    return mapped.replace(" ", SPACE)


class PackedUnigram:
    """XLM-R's way from text to ids, and ids' text. Safe to use from many threads.

    Args:
        text: the bytes of all pieces, one after the other.
        offsets: where each begins, and the end of the last.
        scores: log probabilities.
        hidden: ids of pieces that no text becomes.
        unknown: the id of a character that no piece has.
        forms: what code points become before anything else.
    """

    def __init__(
        self,
        text: NDArray[np.uint8],
        offsets: NDArray[np.uint32],
        scores: NDArray[np.float32],
        hidden: Iterable[int],
        unknown: int,
        forms: Mapping[int, str],
    ) -> None:
        if int(offsets[-1]) > text.size or (np.diff(offsets.astype(np.int64)) < 0).any():
            raise ValueError("its pieces lie outside their text")
        self._text, self._offsets, self._scores = text, offsets, scores
        self._hidden = np.zeros(len(scores), np.uint8)
        self._hidden[list(hidden)] = 1
        self._forms = forms
        pieces = CUnigramPieces(
            *(_address(part) for part in (text, offsets, scores, self._hidden)),
            len(scores),
            unknown,
        )
        self._handle = library().pn_unigram_create(byref(pieces))
        if not self._handle:
            raise MemoryError("There is no memory for a vocabulary's index.")
        weakref.finalize(self, library().pn_unigram_destroy, self._handle)

    def __len__(self) -> int:
        return len(self._scores)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text; an empty one has the mark that begins every text."""
        words = normalise(text, self._forms).encode()
        ids = np.empty(len(words), np.int32)
        count = library().pn_unigram_encode(self._handle, words, len(words), _address(ids))
        if count < 0:
            raise MemoryError("There is no memory to part a text.")
        found: list[int] = ids[:count].tolist()
        return found

    def name(self, token: int) -> str:
        """The piece as the vocabulary writes it; '' for an id that it lacks."""
        if not 0 <= token < len(self):
            return ""
        return bytes(self._text[self._offsets[token] : self._offsets[token + 1]]).decode()

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for.

        Raises:
            ValueError: the vocabulary has no such id.
        """
        if not 0 <= token < len(self):
            raise ValueError(f"There is no token {token} in this vocabulary.")
        before = " " if self._hidden[token] else ""
        return (before + self.name(token).replace(SPACE, " ")).encode()


def _address(values: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.ctypes.data)
