"""Rewrites that hide: the same second, the same size, another file under the same name.

Every rewrite puts a word in a file's place that stands nowhere else; it is missed when no search
finds that word in `_LONGEST` seconds.
"""

import os
import random
import time
from pathlib import Path

from bench.live_peers.contender import Contender
from bench.live_peers.environments import PONANT, prepare, setups
from bench.live_rows.measured import Place, Told, embedder, folder, spread

_FILES = 50
_LONGEST = 20.0
_WAYS = ("overwritten", "truncated", "renamed over", "old time kept", "link swapped")


def rewrites(place: Place) -> Told:
    """A thousand rewrites of Ponant's folder; a hundred of each peer's with ``--full``."""
    told = Told("adversarial rewrites")
    rounds = 2 if place.quick else 20
    with folder("rewrites") as work, embedder("hash", work) as embedding:
        chosen = [PONANT]
        if place.full:
            prepare(place.peers, ("pathway", "cocoindex"))
            chosen = setups(place.peers, all_of_pathway=False)
        for setup in chosen:
            corpus = work / f"corpus-{setup.name}"
            _lay_out(corpus)
            contender = Contender(setup, corpus, embedding.url, work)
            try:
                contender.wait_until(lambda one: one.sees(_word(0, 0), _word(0, 0), 50))
                contender.wait_until(lambda one: one.sees(_word(0, 48), _word(0, 48), 50))
                told.figures[setup.name] = _play(contender, rounds)
            finally:
                contender.close()
    told.goals = {"missed": 0}
    return told


def _play(contender: Contender, rounds: int) -> dict[str, float]:
    chance = random.Random(7)
    missed = dict.fromkeys(_WAYS, 0)
    times: list[float] = []
    for number in range(1, rounds + 1):
        _wait_for_a_new_second()
        waiting: dict[int, tuple[str, float]] = {}
        for file in range(_FILES):
            way = "link swapped" if _is_link(file) else chance.choice(_WAYS[:-1])
            _rewrite(contender.folder, file, number, way)
            waiting[file] = (way, time.perf_counter())
        begun = time.perf_counter()
        while waiting and time.perf_counter() - begun < _LONGEST:
            for file in [one for one in waiting if _is_seen(contender, number, one)]:
                _, saved = waiting.pop(file)
                times.append(1000 * (time.perf_counter() - saved))
        for way, _ in waiting.values():
            missed[way] += 1
    told = {f"missed, {way}": count for way, count in missed.items()}
    return (
        {"rewrites": rounds * _FILES, "missed": sum(missed.values())}
        | told
        | spread("seen after", times)
    )


def _is_seen(contender: Contender, number: int, file: int) -> bool:
    return contender.sees(_word(number, file), _word(number, file))


def _rewrite(corpus: Path, file: int, number: int, way: str) -> None:
    path, text = _path(corpus, file), _text(number, file)
    if way == "overwritten":
        with path.open("r+") as handle:
            handle.write(text)
    elif way == "truncated":
        path.write_text(text)
    elif way == "renamed over":
        other = path.with_suffix(".tmp")
        other.write_text(text)
        other.replace(path)
    elif way == "old time kept":
        status = path.stat()
        path.write_text(text)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        link = path.with_suffix(".new")
        link.symlink_to(_target(corpus, file, number, text))
        link.replace(path)


def _lay_out(corpus: Path) -> None:
    corpus.mkdir()
    for file in range(_FILES):
        path = _path(corpus, file)
        if _is_link(file):
            path.symlink_to(_target(corpus, file, 0, _text(0, file)))
        else:
            path.write_text(_text(0, file))


def _target(corpus: Path, file: int, number: int, text: str) -> Path:
    """What a link points at: of a kind that is not read, so that only the link tells of it."""
    target = corpus / f"kept-{file:02}-{number % 2}.data"
    target.write_text(text)
    return Path(target.name)


def _is_link(file: int) -> bool:
    return file % 10 == 9


def _path(corpus: Path, file: int) -> Path:
    return corpus / f"note{file:02}.md"


def _text(number: int, file: int) -> str:
    return (
        f"Note {file:02} was rewritten once more and says {_word(number, file)} in this sentence, "
        "which is as long as it was before, to the byte, whatever it says now."
    )


def _word(number: int, file: int) -> str:
    return f"zq{number:04}v{file:02}k"


def _wait_for_a_new_second() -> None:
    """So that a whole round of rewrites falls into one second."""
    time.sleep(1 - time.time() % 1)
