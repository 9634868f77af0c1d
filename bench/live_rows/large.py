"""100,000 passages: queries and their exactness, a restart, and what idling costs."""

import statistics
import time

import numpy as np

from bench.live_peers.contender import Contender
from bench.live_peers.embedding import embed
from bench.live_rows.libraries import library
from bench.live_rows.measured import Place, SharedEmbedder, Told, embedder, folder, spread
from bench.live_texts import manual, synthetic

_PASSAGES = 100_000
_MIB = 2**20
_IDLE_SECONDS = 20.0
_DEPTH = 10
_LOOK_SECONDS = 45.0  # longer than keeping house pauses twice
_HOUSE_KEPT_SECONDS = 1800.0


def passages(place: Place) -> int:
    return 5_000 if place.quick else _PASSAGES


def query(place: Place) -> Told:
    """Whole hybrid queries, and whether the vectors' order is the exact one."""
    told = _query(place, "large", passages(place))
    told.goals = {"query, median ms": 20, "vector recall@10": -1.0}
    return told


def query_some(place: Place) -> Told:
    """Three times as many, with an approximate index of the vectors."""
    told = _query(place, "some", 3 * passages(place))
    told.goals = {"query, median ms": 30, "vector recall@10": -0.95}
    return told


def query_million(place: Place) -> Told:
    """The same over ten times as many, with an approximate index of the vectors."""
    told = _query(place, "million", 10 * passages(place))
    told.goals = {"query, median ms": 30, "vector recall@10": -0.95}
    return told


def _query(place: Place, name: str, count: int) -> Told:
    told = Told(f"a hybrid query over {count:,} passages")
    questions = _questions(20 if place.quick else 200)
    with folder("query") as work, embedder("e5", work) as embedding:
        with library(name, lambda to: synthetic.write(to, count), embedding) as ponant:
            ponant.wait_until(_rests, _HOUSE_KEPT_SECONDS)
            figures = _queries(ponant, embedding, questions)
            figures["vector recall@10"] = _recall(ponant, embedding, questions[:50], count)
            live = ponant.live
            processes = [live, *live.children(recursive=True)]
            resident = sum(one.memory_info().rss for one in processes)
            figures["RSS, GB"] = round(resident / _MIB / 1024, 3)
    told.figures["Ponant"] = figures
    return told


def restart(place: Place) -> Told:
    """The process killed and started again: until it answers, and what it embeds anew."""
    count = passages(place)
    told = Told(f"killed and started again over {count:,} passages")
    ready, whole, again = [], [], 0
    with folder("restart") as work, embedder("e5", work) as embedding:
        with library("large", lambda to: synthetic.write(to, count), embedding) as ponant:
            for _ in range(2 if place.quick else 5):
                before = embedding.passages(ponant.key)
                ponant.served.kill()
                begun = time.perf_counter()
                ponant.start()
                ponant.wait_until(lambda one: len(one.search("desktop environment")) > 0)
                ready.append(time.perf_counter() - begun)
                ponant.wait_until(_answers_by_meaning)
                whole.append(time.perf_counter() - begun)
                ponant.wait_until(Contender.in_step)
                again += embedding.passages(ponant.key) - before
    told.figures["Ponant"] = {
        "answers by keywords, median s": round(statistics.median(ready), 2),
        "ready, median s": round(statistics.median(whole), 2),
        "ready, worst s": round(max(whole), 2),
        "re-embedded": again,
    }
    told.notes["counted"] = "with the start of the process that asks, about 0.6 s of it"
    told.goals = {"ready, median s": 1.5, "re-embedded": 0}
    return told


def idle(place: Place) -> Told:
    """Processor and memory of the live process while nothing happens."""
    count = passages(place)
    told = Told(f"idle over {count:,} passages")
    with folder("idle") as work, embedder("e5", work) as embedding:
        with library("large", lambda to: synthetic.write(to, count), embedding) as ponant:
            ponant.search("desktop environment")
            time.sleep(10)  # what follows a start is done by then
            live = ponant.live
            processes = [live, *live.children(recursive=True)]
            before = sum(sum(one.cpu_times()[:2]) for one in processes)
            time.sleep(_IDLE_SECONDS)
            spent = sum(sum(one.cpu_times()[:2]) for one in processes) - before
            memory = sum(one.memory_info().rss for one in processes) / _MIB
    told.figures["Ponant"] = {
        "idle, % of one core": round(100 * spent / _IDLE_SECONDS, 2),
        "RSS, GB": round(memory / 1024, 3),
    }
    told.goals = {"idle, % of one core": 2, "RSS, GB": 0.6}
    return told


def _rests(ponant: Contender) -> bool:
    """Whether the index of the vectors is built, which goes on after all can be searched for."""
    return ponant.live.cpu_percent(_LOOK_SECONDS) < 20


def _queries(
    ponant: Contender, embedding: SharedEmbedder, questions: list[str]
) -> dict[str, float]:
    alone, times = [], []
    for question in questions[:5]:
        ponant.search(question)  # the first ones pay for what is loaded lazily
    for question in questions:
        begun = time.perf_counter()
        embed(f"{embedding.url}/embed/alone", [f"{question} "], "query")
        embedded = time.perf_counter()
        ponant.search(question)
        alone.append(1000 * (embedded - begun))
        times.append(1000 * (time.perf_counter() - embedded))
    figures = spread("query", times)
    figures["the question's embedding alone, median ms"] = round(statistics.median(alone), 1)
    for mode in ("keyword", "vector"):
        times = []
        for question in questions:
            begun = time.perf_counter()
            ponant.ask(question, mode=mode)
            times.append(1000 * (time.perf_counter() - begun))
        figures |= spread(mode, times)
    return figures


def _recall(
    ponant: Contender, embedding: SharedEmbedder, questions: list[str], count: int
) -> float:
    """How many of the truly nearest ten a search by vectors alone returns."""
    asked = np.stack([embed(f"{embedding.url}/embed/alone", [q], "query")[0] for q in questions])
    similar = np.concatenate([block @ asked.T for block in synthetic.vectors(count)])
    found = 0
    for column, question in enumerate(questions):
        nearest = np.argpartition(-similar[:, column], _DEPTH)[:_DEPTH]
        wanted = {f"{synthetic.RECORD}{row} of" for row in nearest}
        texts = ponant.ask(question, _DEPTH, mode="vector")
        found += sum(hit["text"][: hit["text"].index(" of") + 3] in wanted for hit in texts)
    return round(found / (_DEPTH * len(questions)), 4)


def _questions(count: int) -> list[str]:
    """Titles of the manual's sections as people would ask for them."""
    titles = [section.title for section in manual.sections("en")]
    forms = ("how does {} work?", "what should I know about {}?", "where is {} set up?")
    return [forms[n % 3].format(titles[n * 7 % len(titles)].lower()) for n in range(count)]


def _answers_by_meaning(ponant: Contender) -> bool:
    return any(hit["vector"] is not None for hit in ponant.ask("desktop environment"))
