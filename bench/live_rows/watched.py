"""Ten thousand watches and one edit; three hundred edits and what watches tell of them."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from tests.assistant.watches.conftest import make_post
from tests.assistant.watches.edits import Counts, Town

from bench.live_peers.hashing import HashingEmbedder
from bench.live_peers.ponant_child import SharedEmbedder
from bench.live_rows.measured import Place, Told, embedder, folder, spread
from bench.live_texts import manual
from ponant.kit import SystemClock
from ponant.live.knowledge import Knowledge
from ponant.live.port import Notice, PassageRef
from ponant.live.standing.finding import Concerned, News
from ponant.live.standing.matching import Matcher
from ponant.live.standing.part import Standing
from ponant.store import Database, Scope

_SCOPE = Scope("org_bench", "wsp_bench", "per_bench")
_WATCHES = 10_000
_PASSAGES = 1000
_EDITS = 100
_LIMIT = 5
_AT_ONCE = 4


def standing(place: Place) -> Told:
    """From a saved file to those watches told, and how long their finding took of it."""
    count = 200 if place.quick else _WATCHES
    told = Told(f"{count:,} watches and one edit")
    with folder("standing") as work:
        names = [path.name for path in manual.write(work / "corpus", _PASSAGES)]
        told.figures["Ponant"] = asyncio.run(_standing(work, names, count))
    told.notes["embedder"] = "words hashed, so that only finding is measured"
    told.notes["found"] = (
        "matched in reverse, together with others that the edit could affect; all are searched "
        "again, and those affected are told"
    )
    told.goals = {"affected watches found, median ms": 100, "missed": 0}
    return told


def edits(place: Place) -> Told:
    """Three hundred edits: a hundred change the truth, half of them by a new document."""
    changes, others = (10, 20) if place.quick else (100, 200)
    told = Told(f"{changes + others} edits, {changes} of which change the truth")
    with folder("edits") as work, embedder("e5", work) as embedding:
        counts = asyncio.run(_edits(work, f"{embedding.url}/embed/ponant", changes, others))
    told.figures["Ponant"] = {
        "missed": counts.missed,
        "false deliveries": counts.false,
        "false deliveries, share of the others": round(counts.false / others, 3),
        "evidence moved, answer stands": counts.stands,
        "model calls": counts.calls,
        "searched again": counts.searched,
    }
    told.notes["embedder"] = "the served e5"
    told.notes["model"] = "a double that extracts the fact from the passages it is given"
    if counts.faults:
        wrong = Counter(fault.partition(":")[0] for fault in counts.faults)
        told.notes["faults"] = ", ".join(f"{count} {name}" for name, count in wrong.items())
    told.goals = {"missed": 0, "false deliveries, share of the others": 0.05}
    return told


async def _edits(work: Path, embedding: str, changes: int, others: int) -> Counts:
    async with AsyncExitStack() as stack:
        post = await make_post(work / "watched", stack, SharedEmbedder(embedding))
        town = Town(
            post.live, post.watches, post.clock, post.owner, model="extractor", places=60, seed=7
        )
        await town.build()
        return await town.run(changes, others)


async def _standing(work: Path, names: list[str], count: int) -> dict[str, float]:
    corpus = work / "corpus"
    home = work / "home"
    home.mkdir()
    database = Database.at(home / "live.db")
    database.migrate("live")
    notices: list[tuple[float, Notice]] = []
    changes: list[float] = []
    knowledge = Knowledge(
        home,
        [corpus.resolve()],
        database,
        SystemClock(),
        lambda change: changes.append(time.perf_counter()) if change.documents else None,
        lambda notice: notices.append((time.perf_counter(), notice)),
    )
    await knowledge.start()
    try:
        await knowledge.connect(HashingEmbedder())
        library = await knowledge.create_library(_SCOPE, "Watched")
        await knowledge.add_source(_SCOPE, library.id, "folder", {"path": str(corpus)})
        await _in_step(knowledge, library.id)
        begun = time.perf_counter()
        await _register(knowledge, library.id, count)
        registered = time.perf_counter() - begun
        figures = await _edit(knowledge, corpus, names, library.id, changes, notices)
        return figures | {"registered, watches/s": round(count / registered, 1)}
    finally:
        await knowledge.close()
        database.close()


async def _in_step(knowledge: Knowledge, library_id: str) -> None:
    while True:
        library = await knowledge.get_library(_SCOPE, library_id)
        if library.freshness.state == "in_step":
            return
        await asyncio.sleep(0.1)


def _part(knowledge: Knowledge) -> Standing:
    part = knowledge.parts["standing"]
    if not isinstance(part, Standing):
        raise TypeError("The part that keeps searches standing is another.")
    return part


async def _register(knowledge: Knowledge, library_id: str, count: int) -> None:
    """Questions in words of the manual, a few of them over each passage."""
    texts = manual.paragraphs("en", "fr", "de")[:_PASSAGES]
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            words = texts[number % len(texts)].split()
            begin = number // len(texts) * 3
            query = " ".join(words[begin : begin + 6]) or words[0]
            await _put(knowledge, library_id, f"wat_{number}", query)

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


async def _put(knowledge: Knowledge, library_id: str, name: str, query: str) -> list[PassageRef]:
    """Watch a search; returns what it finds now."""
    evidence = await _evidence(knowledge, library_id, query)
    await _part(knowledge).put(_SCOPE, name, [library_id], query, _LIMIT, evidence)
    return evidence


async def _evidence(knowledge: Knowledge, library_id: str, query: str) -> list[PassageRef]:
    found = await knowledge.search(_SCOPE, [library_id], query, _LIMIT)
    return [PassageRef(id=hit.passage_id, hash=hit.hash) for hit in found.hits]


async def _edit(
    knowledge: Knowledge,
    corpus: Path,
    names: list[str],
    library_id: str,
    changes: list[float],
    notices: list[tuple[float, Notice]],
) -> dict[str, float]:
    part = _part(knowledge)
    finding = _timed(part)
    found: list[float] = []
    whole: list[float] = []
    searched = missed = affected = 0
    for number in range(_EDITS):
        name = f"wat_edit_{number}"
        path = corpus / names[number * 7 % len(names)]
        parts = path.read_text().split("\n\n")
        query = " ".join(parts[4].split()[:6])
        evidence = await _put(knowledge, library_id, name, query)
        changes.clear()
        notices.clear()
        before, moved = part.searched, await _moved(part)
        parts[4] = f"{parts[4]} One sentence more, for edit number {number}."
        path.write_text("\n\n".join(parts))
        saved = time.perf_counter()
        told = await _told(notices, name)
        if told is None:  # words that many passages share may not find the edited one at all
            missed += set(await _evidence(knowledge, library_id, query)) != set(evidence)
        if told is not None and changes:
            found.append(1000 * (told - changes[0]))
            whole.append(1000 * (told - saved))
        searched += part.searched - before
        affected += len(await _moved(part) - moved)
        await asyncio.sleep(0.2)
    return {
        **spread("affected watches found", finding),
        **spread("found, searched again and told", found),
        **spread("saved → told", whole),
        "missed": missed,
        "affected, mean per edit": round(affected / _EDITS, 1),
        "searched again, mean per edit": round(searched / _EDITS, 1),
    }


async def _moved(part: Standing) -> set[str]:
    return set(await part.moved(_SCOPE))


def _timed(part: Standing) -> list[float]:
    """Milliseconds of every finding from now on."""
    times: list[float] = []
    finder = part._finder  # noqa: SLF001 - what is found is seen nowhere else
    find = finder.concerned

    def timed(matcher: Matcher, news: News, identity: str | None) -> Concerned:
        begun = time.perf_counter()
        try:
            return find(matcher, news, identity)
        finally:
            if any(moved.documents for _, moved in news):
                times.append(1000 * (time.perf_counter() - begun))

    setattr(finder, "concerned", timed)  # noqa: B010 - mypy minds the assignment
    return times


async def _told(notices: list[tuple[float, Notice]], name: str) -> float | None:
    """When a watch was told of."""
    for _ in range(1000):
        for at, notice in notices:
            if name in notice.keys:
                return at
        await asyncio.sleep(0.01)
    return None
