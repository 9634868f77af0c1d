"""Reads SentencePiece models: ``tokenizer.model``, with the version in its name where Mistral's.

A model file is a protocol buffer (sentencepiece_model.proto); the few fields that matter are read
here, and the vocabulary is built as that of a GGUF file, which holds the same.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from ponant.kit.errors import SetupError
from ponant.text.vocabularies import gguf
from ponant.text.vocabularies.built import Built

_VERSION = re.compile(r"\.model\.(v\d+)(m\d+)?$")
_PIECES, _TRAINER, _NORMALISER = 1, 2, 3  # fields of the model
_TEXT, _SCORE, _KIND = 1, 2, 3  # fields of a piece
_MODEL_TYPE, _UNKNOWN_ID, _BEGIN_ID, _END_ID = 3, 40, 41, 42  # fields of the trainer's settings
_DUMMY_PREFIX = 3  # field of the normaliser's settings
_BYTE_PAIRS = 2  # the model type
_NEGATIVE: Final = 1 << 63

_Fields = Iterator[tuple[int, int | bytes]]


def find(folder: Path) -> Path | None:
    """The SentencePiece model of a folder, the newest of Mistral's where there are several."""
    versions = {int(m[1][1:]): p for p in folder.iterdir() if (m := _VERSION.search(p.name))}
    if versions:
        return versions[max(versions)]
    plain = folder / "tokenizer.model"
    return plain if plain.is_file() else None


def build(path: Path) -> Built:
    """Build the tokenizer of a SentencePiece model that merges byte pairs.

    Raises:
        SetupError: the file is damaged, or its model is of another type.
    """
    try:
        metadata = _metadata(path.read_bytes())
    except (OSError, ValueError, IndexError, TypeError, struct.error) as e:
        raise SetupError(f"{path} cannot be read: {e}. Pull the model again.") from e
    backend, details = gguf.build(metadata)
    return Built(backend, msgspec.structs.replace(details, mistral=version_of(path)))


def version_of(path: Path) -> str | None:
    """The version of Mistral's chat format, where this is a model of Mistral's."""
    named = _VERSION.search(path.name)
    if named:
        return named[1]
    return "v1" if (path.parent / "params.json").is_file() else None


def _metadata(data: bytes) -> dict[str, Any]:
    """The vocabulary under the names that GGUF files use."""
    tokens: list[str] = []
    scores: list[float] = []
    kinds: list[int] = []
    trainer: dict[int, int | bytes] = {}
    normaliser: dict[int, int | bytes] = {}
    for field, value in _fields(data):
        if not isinstance(value, bytes):
            continue
        if field == _PIECES:
            piece = dict(_fields(value))
            tokens.append(_bytes(piece[_TEXT]).decode())
            scores.append(struct.unpack("<f", _bytes(piece.get(_SCORE, bytes(4))))[0])
            kinds.append(int(piece.get(_KIND, 1)))
        elif field == _TRAINER:
            trainer = dict(_fields(value))
        elif field == _NORMALISER:
            normaliser = dict(_fields(value))
    if trainer.get(_MODEL_TYPE) != _BYTE_PAIRS:
        raise ValueError("it is no byte-pair model, the only type that Ponant reads")
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.unknown_token_id": _signed(trainer.get(_UNKNOWN_ID, 0)),
        "tokenizer.ggml.bos_token_id": _signed(trainer.get(_BEGIN_ID, 1)),
        "tokenizer.ggml.eos_token_id": _signed(trainer.get(_END_ID, 2)),
        "tokenizer.ggml.add_space_prefix": bool(normaliser.get(_DUMMY_PREFIX, 1)),
    }


def _fields(data: bytes) -> _Fields:
    """The fields of a message: varints as numbers, everything else as bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        match key & 7:
            case 0:
                value, place = _varint(data, place)
                yield key >> 3, value
                continue
            case 1:
                length = 8
            case 2:
                length, place = _varint(data, place)
            case 5:
                length = 4
            case other:
                raise ValueError(f"it holds a field of the unknown type {other}")
        if place + length > len(data):
            raise ValueError("it ends early")
        yield key >> 3, data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a field is of the wrong type")  # noqa: TRY004 - it is the file's fault
    return value


def _signed(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("a field is of the wrong type")  # noqa: TRY004 - it is the file's fault
    return value - 2 * _NEGATIVE if value >= _NEGATIVE else value
