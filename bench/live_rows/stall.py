"""A document of 1,000 paragraphs embedded anew at 5 ms each, and one of its paragraphs edited.

Searches go on meanwhile: the longest one is the stall. The embedder hashes words and waits 5 ms a
passage, so that nothing but the waiting is shared.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.live_peers.contender import Contender, alone, copied
from bench.live_peers.environments import prepare, setups
from bench.live_rows.measured import Place, SharedEmbedder, Told, embedder, folder, spread
from bench.live_texts import synthetic

_DELAY = 0.005
_PARAGRAPHS = 1000
_EDITS = 20
_LONGEST = 60.0


def stall(place: Place) -> Told:
    """Everyone embeds the document; then single paragraphs of it are edited."""
    count = 100 if place.quick else _PARAGRAPHS
    told = Told(f"searches while {count:,} paragraphs are embedded anew at 5 ms each")
    prepare(place.peers, ("pathway", "cocoindex"))
    with folder("stall") as work, embedder("hash", work) as embedding:
        synthetic.write(work / "corpus", 500)
        contenders: list[Contender] = []
        try:
            for setup in setups(place.peers, all_of_pathway=place.full):
                corpus = copied(work / "corpus", work / f"corpus-{len(contenders)}")
                contender = Contender(setup, corpus, embedding.url, work)
                contenders.append(contender)
                contender.wait_until(lambda one: embedding.passages(one.key) >= 500)
                contender.wait_until(lambda one: len(one.search("anything at all")) > 0)
            embedding.delay(_DELAY)
            for one in contenders:
                with alone(one, contenders):
                    told.figures[one.name] = _one(one, embedding, count)
        finally:
            for one in contenders:
                one.close()
    told.goals = {"longest query, ms": 30, "embeddings for one edited paragraph": 1}
    return told


def _one(contender: Contender, embedding: SharedEmbedder, count: int) -> dict[str, float]:
    path = contender.folder / "long.md"
    parts = [_paragraph(number, "first") for number in range(count)]
    quiet: list[float] = []
    _times_until(contender, lambda: None, lambda: len(quiet) >= 50, quiet)
    begun = time.perf_counter()
    before = embedding.passages(contender.key)

    def embedded() -> bool:
        return embedding.passages(contender.key) - before >= count and contender.sees(
            _mark(count - 1, "first"), _mark(count - 1, "first")
        )

    during: list[float] = []
    _times_until(contender, lambda: _write(path, parts), embedded, during)
    seconds = time.perf_counter() - begun
    figures = {
        "longest query, ms": round(max(during), 1),
        **spread("query meanwhile", during),
        **spread("query before", quiet),
        "all visible after, s": round(seconds, 2),
    }
    return figures | _edits(contender, embedding, path, parts)


def _edits(
    contender: Contender, embedding: SharedEmbedder, path: Path, parts: list[str]
) -> dict[str, float]:
    counts, times = [], []
    for number in range(_EDITS):
        place = (number * 37 + 11) % len(parts)
        before = embedding.passages(contender.key)
        name = f"edit{number}"
        parts[place] = _paragraph(place, name)
        _write(path, parts)
        begun = time.perf_counter()
        while not contender.sees(_mark(place, name), _mark(place, name)):
            if time.perf_counter() - begun > _LONGEST:
                break
            time.sleep(0.002)
        times.append(1000 * (time.perf_counter() - begun))
        time.sleep(1)  # what is embedded late counts, too
        counts.append(embedding.passages(contender.key) - before)
    return {
        "embeddings for one edited paragraph": max(counts),
        **spread("one paragraph edited → seen", times),
    }


def _times_until(
    contender: Contender, act: Callable[[], None], done: Callable[[], bool], times: list[float]
) -> None:
    """Search again and again from ``act`` until ``done``; ``times`` takes the milliseconds."""
    acting = threading.Thread(target=act)
    acting.start()
    begun = checked = time.perf_counter()
    while time.perf_counter() - begun < _LONGEST:
        asked = time.perf_counter()
        contender.search("the network configuration of the system")
        times.append(1000 * (time.perf_counter() - asked))
        time.sleep(0.005)
        if time.perf_counter() - checked > 0.2:
            checked = time.perf_counter()
            if done():
                break
    acting.join()


def _write(path: Path, parts: list[str]) -> None:
    path.write_text("\n\n".join(parts) + "\n")


def _paragraph(number: int, name: str) -> str:
    return f"{synthetic.passage(10**6 + number)} Noted as {_mark(number, name)}."


def _mark(number: int, name: str) -> str:
    return f"q{name}x{number}z"
