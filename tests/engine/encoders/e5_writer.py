"""Writes small E5S1 files with weights drawn at random."""

import struct

import numpy as np

HIDDEN, DEPTH, HEADS, INNER, VOCABULARY, POSITIONS, TYPES = 64, 2, 4, 128, 50, 16, 2


def small_e5(seed: int = 0) -> bytes:
    """A whole file of about 100 kB: two layers, fifty pieces."""
    random = np.random.default_rng(seed)
    tensors = [
        ("emb.word", 1, _blocks(random, VOCABULARY * HIDDEN)),
        ("emb.pos", 0, _floats(random, POSITIONS * HIDDEN)),
        ("emb.type", 0, _floats(random, TYPES * HIDDEN)),
        *_norm(random, "emb.ln"),
    ]
    for layer in range(DEPTH):
        for name, out, into in _maps(f"l{layer}"):
            tensors.append((f"{name}.w", 1, _blocks(random, out * into)))
            tensors.append((f"{name}.b", 0, _floats(random, out)))
        tensors += [*_norm(random, f"l{layer}.aln"), *_norm(random, f"l{layer}.oln")]
    return _assemble(tensors)


def _maps(name: str) -> list[tuple[str, int, int]]:
    square = [(f"{name}.{part}", HIDDEN, HIDDEN) for part in ("q", "k", "v", "ao")]
    return [*square, (f"{name}.fi", INNER, HIDDEN), (f"{name}.fo", HIDDEN, INNER)]


def _assemble(tensors: list[tuple[str, int, bytes]]) -> bytes:
    sizes = (HIDDEN, DEPTH, HEADS, INNER, VOCABULARY, POSITIONS, TYPES)
    head = struct.pack("<4sI7ifi", b"E5S1", 1, *sizes, 1e-12, 32)
    pieces = [chr(ord("a") + index).encode() for index in range(20)]
    blob = b"".join(pieces)
    offsets = np.cumsum([0, *map(len, pieces)]).astype("<u4").tobytes()
    scores = np.zeros(len(pieces), "<f4").tobytes()
    head += struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, len(blob)) + offsets + scores + blob
    normaliser = struct.pack("<IBI", ord("A"), 1, ord("a"))
    head += struct.pack("<iI", 1, len(normaliser)) + normaliser
    offset = len(head) + 4 + sum(2 + len(name) + 21 for name, _, _ in tensors)
    entries, data = b"", b""
    for name, kind, content in tensors:
        count = len(content) // 4 if kind == 0 else len(content) // 18 * 32
        entries += struct.pack("<H", len(name)) + name.encode()
        entries += struct.pack("<BIQQ", kind, count, offset + len(data), len(content))
        data += content
    return head + struct.pack("<i", len(tensors)) + entries + data


def _floats(random: np.random.Generator, count: int) -> bytes:
    return random.normal(0, 0.3, count).astype("<f4").tobytes()


def _norm(random: np.random.Generator, name: str) -> list[tuple[str, int, bytes]]:
    return [(f"{name}.{part}", 0, _floats(random, HIDDEN)) for part in ("w", "b")]


def _blocks(random: np.random.Generator, count: int) -> bytes:
    blocks = np.empty(count // 32, [("d", "<f2"), ("q", "u1", (16,))])
    blocks["d"] = random.uniform(0.01, 0.05, len(blocks))
    blocks["q"] = random.integers(0, 256, (len(blocks), 16))
    return blocks.tobytes()
