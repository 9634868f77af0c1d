"""Finds the tokens behind bytes that llama.cpp hands over late, inside characters."""

import functools
from collections.abc import Mapping
from typing import Any

_BYTE = 6  # token type of the GGUF specification
_SPACE = "\u2581"


class Pieces:
    """The vocabulary of a GGUF as bytes; read at the first use, since it is long."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._metadata = metadata

    def split(self, data: bytes, last: int, count: int) -> list[int]:
        """The ``count`` tokens that, followed by the token ``last``, spell ``data``.

        Where several would do, the longest pieces are taken first; none where nothing fits.
        """
        if count <= 0:
            return []
        tail = self._pieces[last]
        if not data.endswith(tail):
            return []
        return self._cover(data[: len(data) - len(tail)], count) or []

    def _cover(self, data: bytes, count: int) -> list[int] | None:
        if count == 0:
            return [] if not data else None
        for length in range(len(data) - count + 1, 0, -1):
            token = self._ids.get(data[:length])
            rest = None if token is None else self._cover(data[length:], count - 1)
            if token is not None and rest is not None:
                return [token, *rest]
        return None

    @functools.cached_property
    def _pieces(self) -> list[bytes]:
        tokens = self._metadata["tokenizer.ggml.tokens"]
        kinds = self._metadata.get("tokenizer.ggml.token_type", [0] * len(tokens))
        byte_level = self._metadata.get("tokenizer.ggml.model") == "gpt2"
        return [
            _bytes(text, kind, byte_level=byte_level)
            for text, kind in zip(tokens, kinds, strict=True)
        ]

    @functools.cached_property
    def _ids(self) -> dict[bytes, int]:
        return {piece: token for token, piece in enumerate(self._pieces)}


def _bytes(text: str, kind: int, *, byte_level: bool) -> bytes:
    if kind == _BYTE:
        return bytes([int(text[3:5], 16)])  # spelt <0xF0>
    if byte_level:
        letters = _byte_letters()
        if all(letter in letters for letter in text):
            return bytes(letters[letter] for letter in text)
    return text.replace(_SPACE, " ").encode("utf-8", "surrogateescape")


@functools.cache
def _byte_letters() -> dict[str, int]:
    """GPT-2's printable letter for every byte, turned round."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + number): byte for number, byte in enumerate(others)
    }
