"""Synthetic corpora of any size: sentences of a real manual between words of Zipf's law, by a seed.

A passage begins with ``Record `` and its number; its vector is drawn from one of `CLUSTERS`
clusters by that number, so that search by meaning has neighbourhoods to tell apart and nothing
has to be embedded for hours.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.live_texts import manual

RECORD = "Record "
CLUSTERS = 2000
_WORDS = 12  # of a passage, beside its sentences
_SENTENCES = 2
_VOCABULARY = 30_000
_SEED = 20_261_122
_NOISE = 0.6  # length of what a passage adds to its cluster's centre
_NUMBER = re.compile(r"Record (\d+)")
_END = re.compile(r"(?<=[.!?])\s+")
_DIMENSION = 384


def passage(number: int, extra: str = "") -> str:
    """The passage of this number; ``extra`` stands at its end."""
    chance = np.random.default_rng((_SEED, number))
    ranks = chance.zipf(1.15, _WORDS) % _VOCABULARY
    words = " ".join(_word(int(rank)) for rank in ranks)
    known = _sentences()
    said = " ".join(known[place] for place in chance.integers(len(known), size=_SENTENCES))
    return f"{RECORD}{number} of the archive. {words}. {said} {extra}".rstrip()


def vector_of(text: str) -> NDArray[np.float32]:
    """The vector of a passage of a synthetic corpus, of length 1."""
    match = _NUMBER.match(text)
    return vector(int(match.group(1)) if match else 0)


def vector(number: int) -> NDArray[np.float32]:
    """The vector of the passage of this number."""
    centre = _centres()[number % CLUSTERS]
    noise = np.random.default_rng((_SEED + 1, number)).standard_normal(_DIMENSION, np.float32)
    row = centre + noise * np.float32(_NOISE / np.sqrt(_DIMENSION))
    return row / np.linalg.norm(row)


def write(folder: Path, passages: int, per_file: int = 10) -> int:
    """Lay a corpus out as files of ``per_file`` passages, 500 files a folder.

    Returns:
        How many files there are.
    """
    files = -(-passages // per_file)
    for number in range(files):
        path = place(folder, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file_text(number, per_file, passages))
    return files


def file_text(number: int, per_file: int = 10, passages: int = 2**63) -> str:
    """What the file of this number holds."""
    begin = number * per_file
    numbers = range(begin, min(begin + per_file, passages))
    return "\n\n".join(passage(one) for one in numbers) + "\n"


def place(folder: Path, file: int) -> Path:
    """Where a file of the corpus lies."""
    return folder / f"part{file // 500:04}" / f"file{file:06}.md"


def vectors(count: int, rows: int = 10_000) -> Iterator[NDArray[np.float32]]:
    """The vectors of the first ``count`` passages, block by block."""
    for begin in range(0, count, rows):
        yield np.stack([vector(number) for number in range(begin, min(begin + rows, count))])


@cache
def _centres() -> NDArray[np.float32]:
    rows = np.random.default_rng(_SEED).standard_normal((CLUSTERS, _DIMENSION), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@cache
def _sentences() -> list[str]:
    """Sentences of the manual that are neither very short nor very long."""
    texts = "  ".join(manual.paragraphs("en"))
    found = dict.fromkeys(one.strip() for one in _END.split(texts))
    return [one for one in found if 30 <= len(one) <= 200]


@cache
def _word(rank: int) -> str:
    """A word that can be spoken, the same for a rank at every call."""
    syllables = "ba be bi bo bu da de di do du fa fe fi fo ga go ka ke ki ko la le li lo lu ma me "
    syllables += "mi mo na ne ni no pa pe pi po ra re ri ro sa se si so ta te ti to va ve vi vo"
    parts = syllables.split()
    letters, rest = [], rank + 1
    while rest:
        rest, digit = divmod(rest, len(parts))
        letters.append(parts[digit])
    return "".join(letters) + ("n" if rank % 3 == 0 else "")
