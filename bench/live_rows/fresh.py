"""File saved → search sees it, by a word of the edit and by a paraphrase of it.

A trial replaces one paragraph of one file and asks until a search returns it; what counts is the
time from the end of the write to the end of the first answer that has it. Everyone has a copy of
the corpus; while one is measured, the others stand still.
"""

import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from bench.harness import OURS
from bench.live_peers.contender import Contender, Setup, alone, copied
from bench.live_peers.embedding import embed
from bench.live_peers.environments import prepare, setups
from bench.live_rows.large import passages
from bench.live_rows.libraries import library
from bench.live_rows.measured import Place, SharedEmbedder, Told, embedder, folder, spread
from bench.live_texts import manual, synthetic
from bench.live_texts.edits import Edit, by_paraphrase, by_word

_LONGEST = 10.0  # seconds that an edit may take to be seen
_GAP = 0.002  # seconds between two questions
_TRIALS = 100  # of each kind, one after another and at random times
_MEAN_ARRIVAL = 0.15  # seconds between two edits that come at random
_ROUNDS = 5
_LOAD_SECONDS = 900.0
_CUTS_AT_LEAST = 0.8  # of the passages that the corpus was written as


@dataclass
class Trial:
    """An edit of one contender's folder, and when its end was seen."""

    edit: Edit
    kind: str
    saved: float = 0.0
    seen: float = 0.0

    @property
    def milliseconds(self) -> float:
        return 1000 * (self.seen - self.saved) if self.seen else 1000 * _LONGEST


def at_2k(place: Place) -> Told:
    """2,000 passages of a real manual in three languages."""
    trials, count = (10, 300) if place.quick else (_TRIALS, 2000)
    with folder("fresh") as work:
        names = [path.name for path in manual.write(work / "corpus", count)]
        told = _compare(place, work, names, count, trials, everyone=not place.quickest)
    told.measure = f"file saved → search sees it, {count:,} passages"
    told.goals = _goals(30, 100) | {"loaded, against the best peer": -1.0}
    return told


def at_100k(place: Place) -> Told:
    """100,000 synthetic passages, so that only what is edited is embedded for real.

    Ponant alone over the library that other rows share; peers with ``--full``, since they take long
    to load it.
    """
    trials = 10 if place.quick else _TRIALS
    count = passages(place)
    told = _beside_100k(place, count, trials) if place.full else _alone_100k(count, trials)
    told.measure = f"file saved → search sees it, {count:,} passages"
    told.goals = _goals(60, 150)
    return told


def _alone_100k(count: int, trials: int) -> Told:
    told = Told("", figures={"Ponant": {}})
    with folder("fresh") as work, embedder("e5", work) as embedding:
        with library("large", lambda to: synthetic.write(to, count), embedding) as ponant:
            names = _names(ponant.folder, count // 10)
            try:
                _measure([ponant], embedding, names, trials, told)
            finally:
                for number in _chosen(names, trials):
                    place = synthetic.place(ponant.folder, number)
                    place.write_text(synthetic.file_text(number))
                time.sleep(1)
                ponant.wait_until(Contender.in_step)
    return told


def _beside_100k(place: Place, count: int, trials: int) -> Told:
    with folder("fresh") as work:
        files = synthetic.write(work / "corpus", count)
        names = _names(work / "corpus", files)
        return _compare(place, work, names, count, trials, everyone=False)


def _names(corpus: Path, files: int) -> list[str]:
    paths = (synthetic.place(corpus, number) for number in range(files))
    return [path.relative_to(corpus).as_posix() for path in paths]


def _chosen(names: Sequence[str], trials: int) -> list[int]:
    """The files that are edited, by number, each by one trial."""
    return random.Random(1).sample(range(len(names)), min(len(names), 4 * trials))


def _goals(median: float, worst: float) -> dict[str, float]:
    return {
        f"{kind}, {loop}, beyond the embedder, {name} ms": goal
        for kind in ("word", "paraphrase")
        for loop in ("closed", "random")
        for name, goal in (("median", median), ("p95", worst))
    }


def _compare(
    place: Place, work: Path, names: Sequence[str], count: int, trials: int, *, everyone: bool
) -> Told:
    told = Told("")
    prepare(place.peers, ("pathway", "cocoindex"))
    with embedder("e5", work) as embedding:
        contenders: list[Contender] = []
        try:
            for setup in setups(place.peers, all_of_pathway=everyone):
                contender = _loaded(setup, work, embedding, count, contenders, told)
                contenders.append(contender)
            _measure(contenders, embedding, names, trials, told)
        finally:
            for contender in contenders:
                contender.close()
    rates = {name: figures["loaded, passages/s"] for name, figures in told.figures.items()}
    peers = max(rate for name, rate in rates.items() if name != "Ponant")
    told.figures["Ponant"]["loaded, against the best peer"] = round(rates["Ponant"] / peers, 3)
    return told


def _loaded(
    setup: Setup,
    work: Path,
    embedding: SharedEmbedder,
    count: int,
    others: list[Contender],
    told: Told,
) -> Contender:
    """A contender over its copy of the corpus, all of it embedded."""
    name = setup.name
    corpus = copied(work / "corpus", work / f"corpus-{len(others)}")
    for other in others:
        other.served.stop()
    begun = time.perf_counter()
    contender = Contender(setup, corpus, embedding.url, work)
    try:
        contender.wait_until(partial(_is_loaded, embedding, count), _LOAD_SECONDS)
        contender.wait_until(lambda one: len(one.search("anything at all")) > 0)
    except BaseException:
        contender.close()
        raise
    finally:
        for other in others:
            other.served.go_on()
    seconds = time.perf_counter() - begun
    print(f"{name}: {count} passages in {seconds:.1f} s", flush=True)
    told.figures[name] = {"loaded, passages/s": round(count / seconds, 1)}
    return contender


def _is_loaded(embedding: SharedEmbedder, count: int, contender: Contender) -> bool:
    """Whether everything is embedded; Ponant, which cuts by itself, says so where it cuts less."""
    known = embedding.passages(contender.key)
    if contender.name == OURS and _CUTS_AT_LEAST * count <= known < count:
        return contender.in_step()
    return known >= count


def _measure(
    contenders: list[Contender],
    embedding: SharedEmbedder,
    names: Sequence[str],
    trials: int,
    told: Told,
) -> None:
    files = _chosen(names, trials)
    base = 2 * (int(time.time()) % 20_000)  # words that no earlier run had embedded
    edits = [by_word(base + n) if n % 2 else by_paraphrase(base + n) for n in range(4 * trials)]
    for one in contenders:
        one.served.stop()
    alone_ms = _embedding_alone(embedding, edits)
    for one in contenders:
        one.served.go_on()
    told.notes["the embedder alone, one edited passage, median ms"] = round(alone_ms, 1)
    for loop, run, first in (("closed", closed, 0), ("random", arrivals, 2 * trials)):
        done: dict[str, list[Trial]] = {one.name: [] for one in contenders}
        spent = 0.0
        walled = time.perf_counter()
        step = max(1, 2 * trials // _ROUNDS)
        for begin in range(first, first + 2 * trials, step):
            span = range(begin, begin + step)
            ordered = contenders if begin // step % 2 == 0 else contenders[::-1]
            for one in ordered:
                with alone(one, contenders):
                    before = _cpu()
                    work = [(one.folder / names[files[n % len(files)]], edits[n]) for n in span]
                    found = run(one, work)
                    spent += _cpu() - before
                    done[one.name] += found
                    middle = statistics.median(trial.milliseconds for trial in found)
                    print(f"{loop}, trial {begin}: {one.name} {middle:.0f} ms", flush=True)
        share = 100 * spent / (time.perf_counter() - walled)
        told.notes[f"load generator, {loop}, % of one core"] = round(share, 1)
        for name, trials_done in done.items():
            _tell(told, name, loop, trials_done, alone_ms)


def _tell(told: Told, name: str, loop: str, trials: Sequence[Trial], alone_ms: float) -> None:
    for kind in ("word", "paraphrase"):
        times = [trial.milliseconds for trial in trials if trial.kind == kind]
        told.figures[name] |= spread(f"{kind}, {loop}", times)
        beyond = spread(f"{kind}, {loop}, beyond the embedder", [t - alone_ms for t in times])
        told.figures[name] |= beyond
        unseen = sum(not trial.seen for trial in trials if trial.kind == kind)
        told.figures[name][f"{kind}, {loop}, never seen"] = unseen


def closed(contender: Contender, work: Sequence[tuple[Path, Edit]]) -> list[Trial]:
    """Edit, ask until it is seen, then the next."""
    trials = []
    for path, edit in work:
        trial = _trial(edit)
        save(path, edit.text)
        trial.saved = time.perf_counter()
        while time.perf_counter() - trial.saved < _LONGEST:
            if contender.sees(edit.mark, edit.query):
                trial.seen = time.perf_counter()
                break
            time.sleep(_GAP)
        trials.append(trial)
    return trials


def arrivals(contender: Contender, work: Sequence[tuple[Path, Edit]]) -> list[Trial]:
    """Edits come at random times, whether or not those before were seen (Poisson)."""
    chance = random.Random(len(work))
    trials = [_trial(edit) for _, edit in work]

    def write() -> None:
        for trial, (path, edit) in zip(trials, work, strict=True):
            time.sleep(chance.expovariate(1 / _MEAN_ARRIVAL))
            save(path, edit.text)
            trial.saved = time.perf_counter()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        _watch(contender, trials, writer.is_alive)
    finally:
        writer.join()
    return trials


def _watch(contender: Contender, trials: Sequence[Trial], more_come: Callable[[], bool]) -> None:
    while True:
        now = time.perf_counter()
        waiting = [
            one for one in trials if one.saved and not one.seen and now - one.saved < _LONGEST
        ]
        if not waiting and not more_come():
            return
        for trial in waiting:
            if contender.sees(trial.edit.mark, trial.edit.query):
                trial.seen = time.perf_counter()
        time.sleep(_GAP)


def save(path: Path, text: str) -> None:
    """Put ``text`` in the place of a file's third paragraph, as an editor without care does."""
    parts = path.read_text().split("\n\n")
    parts[min(2, len(parts) - 1)] = text
    path.write_text("\n\n".join(parts))


def _trial(edit: Edit) -> Trial:
    return Trial(edit, "word" if edit.query == edit.mark else "paraphrase")


def _embedding_alone(embedding: SharedEmbedder, edits: Sequence[Edit]) -> float:
    """Milliseconds that the embedder takes for one edited passage while nothing else asks."""
    times = []
    for edit in edits[:30]:
        begun = time.perf_counter()
        embed(f"{embedding.url}/embed/alone", [edit.text], "passage")
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def _cpu() -> float:
    times = psutil.Process().cpu_times()
    return times.user + times.system
