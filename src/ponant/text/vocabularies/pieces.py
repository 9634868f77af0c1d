"""The bytes that each token of a vocabulary stands for."""

import json
import re
from collections.abc import Callable
from functools import lru_cache

from tokenizers import Tokenizer as Backend

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "▁"
VISIBLE = frozenset(
    {
        "</think>",
        "</tool_call>",
        "<think>",
        "<tool_call>",
        "<|python_tag|>",
        "[/THINK]",
        "[ARGS]",
        "[CALL_ID]",
        "[THINK]",
        "[TOOL_CALLS]",
    }
)
"""Special tokens that part an answer into thinking, calls and text: who reads it must see them."""


def piece_reader(backend: Backend) -> Callable[[int], bytes]:
    """A function from token id to bytes; special tokens have none, but for those of `VISIBLE`.

    An id beyond the vocabulary has none either: heads are padded to round numbers of rows, as
    Qwen's are, and those rows can be drawn.
    """
    added = backend.get_added_tokens_decoder()
    spell = _spelling(backend)

    @lru_cache(maxsize=65536)
    def piece(token: int) -> bytes:
        if found := added.get(token):
            hidden = found.special and found.content not in VISIBLE
            return b"" if hidden else found.content.encode()
        text = backend.id_to_token(token) if token >= 0 else None
        return b"" if text is None else spell(text)

    return piece


def _spelling(backend: Backend) -> Callable[[str], bytes]:
    """How this vocabulary writes bytes, told by its decoder."""
    decoder = backend.decoder
    state = json.loads(decoder.__getstate__()) if decoder else {}
    kinds = {step["type"] for step in state.get("decoders", [state]) if "type" in step}
    if "ByteLevel" in kinds:
        return _byte_level
    if "WordPiece" in kinds:
        return _word_piece
    return _sentencepiece


def _sentencepiece(text: str) -> bytes:
    byte = _BYTE.fullmatch(text)
    if byte:
        return bytes([int(byte[1], 16)])
    return text.replace(_SPACE, " ").encode()


def _word_piece(text: str) -> bytes:
    return text[2:].encode() if text.startswith("##") else f" {text}".encode()


def _byte_level(text: str) -> bytes:
    table = _byte_table()
    return b"".join(
        bytes([table[character]]) if character in table else character.encode()
        for character in text
    )


@lru_cache(maxsize=1)
def _byte_table() -> dict[str, int]:
    return {letter: byte for byte, letter in byte_letters().items()}


def byte_letters() -> dict[int, str]:
    """GPT-2's printable stand-ins: printable bytes for themselves, the others from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {
        byte: chr(0x100 + place) for place, byte in enumerate(others)
    }
