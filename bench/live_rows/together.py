"""All at once: four chats stream, 1,000 documents sync, ten searches a second, on the same cores.

A real server with the starter model and its own embedder. What each chat does without the sync,
with the same searches going on, is measured right before and right after it.
"""

import asyncio
import contextlib
import json
import random
import shutil
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.server import Server, home_with_models, serving

from bench.live_rows.fresh import save
from bench.live_rows.measured import MODELS, Place, Told, folder, percentile, spread
from bench.live_texts import manual
from bench.live_texts.edits import by_word

_CHATS = 4
_SEARCHES = 10.0  # a second
_DOCUMENTS = 1000
_QUIET_SECONDS = 15.0
_EDIT_SECONDS = 1.5  # between two edits, on average
_LONGEST = 30.0
_WARM = 20  # pieces of every stream
_PROMPT = "Write a long story about a lighthouse keeper, chapter {}, and the west wind."


@dataclass
class Chat:
    """When each piece of a stream came, and how many tokens had come by then."""

    times: list[float] = field(default_factory=list)
    gaps: list[tuple[float, float]] = field(default_factory=list)  # at its end, seconds


@dataclass
class Load:
    """What goes on at the same time, and what was measured of it."""

    library: str
    folder: Path
    chats: list[Chat] = field(default_factory=lambda: [Chat() for _ in range(_CHATS)])
    searches: list[tuple[float, float]] = field(default_factory=list)  # when, seconds
    edits: list[tuple[float, float]] = field(default_factory=list)


def together(place: Place) -> Told:
    """Everyone at once, and the chats before and after by themselves."""
    documents = 50 if place.quick else _DOCUMENTS
    told = Told(f"{_CHATS} chats, {documents:,} documents syncing, 10 searches a second")
    with folder("together") as work:
        source = work / "documents"
        names = [path.name for path in manual.write(source, 200, per_file=4)]
        home = home_with_models(work / "home", MODELS.resolve())
        with serving(home, {"PONANT_LIVE_ROOTS": str(work)}) as server:
            asyncio.run(_play(server, source, names, documents, told))
    told.goals = {
        "save → search, p95 ms": 300,
        "search, p95 ms": 100,
        "slowest chat's share of its speed without the sync": -0.6,
        "longest gap in a stream, ms": 500,
    }
    return told


async def _play(server: Server, source: Path, names: list[str], documents: int, told: Told) -> None:
    headers = {"Authorization": f"Bearer {server.key}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=120) as client:
        library = await _library(client, source, len(names))
        load = Load(library, source)
        tasks = [asyncio.create_task(_chat(client, number, load)) for number in range(_CHATS)]
        tasks.append(asyncio.create_task(_search(client, load)))
        try:
            await _started(load)
            begun = time.perf_counter()
            await asyncio.sleep(_QUIET_SECONDS)
            syncing = time.perf_counter()
            editing = asyncio.create_task(_edit(client, load, names))
            await asyncio.to_thread(_add, source, documents)
            await _in_step(client, library, len(names) + documents)
            synced = time.perf_counter()
            editing.cancel()
            await asyncio.gather(editing, return_exceptions=True)
            await asyncio.sleep(_QUIET_SECONDS)
            ended = time.perf_counter()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    quiet = [
        _rate(chat, begun, syncing) / 2 + _rate(chat, synced, ended) / 2 for chat in load.chats
    ]
    loaded = [_rate(chat, syncing, synced) for chat in load.chats]
    gaps = [gap for chat in load.chats for at, gap in chat.gaps if syncing <= at <= synced]
    searches = [1000 * took for at, took in load.searches if syncing <= at <= synced]
    told.figures["Ponant"] = {
        **spread("save → search", [1000 * took for _, took in load.edits]),
        **spread("search", searches),
        "slowest chat's share of its speed without the sync": round(
            min(one / other for one, other in zip(loaded, quiet, strict=True)), 3
        ),
        "a chat without the sync, tokens/s": round(statistics.median(quiet), 1),
        "a chat during the sync, tokens/s": round(statistics.median(loaded), 1),
        "longest gap in a stream, ms": round(1000 * max(gaps, default=0.0)),
        "gap in a stream, p99 ms": round(1000 * percentile(gaps or [0.0], 0.99)),
        "sync, s": round(synced - syncing, 1),
        "edits during it": len(load.edits),
    }


async def _library(client: httpx.AsyncClient, source: Path, documents: int) -> str:
    made = await client.post("/v1/libraries", json={"name": "Together"})
    library = str(made.raise_for_status().json()["id"])
    body = {"kind": "folder", "config": {"path": str(source)}}
    (await client.post(f"/v1/libraries/{library}/sources", json=body)).raise_for_status()
    await _in_step(client, library, documents)
    return library


async def _in_step(client: httpx.AsyncClient, library: str, documents: int) -> None:
    while True:
        shown = (await client.get(f"/v1/libraries/{library}")).raise_for_status().json()
        if shown["freshness"]["state"] == "in_step" and shown["nb_documents"] == documents:
            return
        await asyncio.sleep(0.2)


def _add(source: Path, documents: int) -> None:
    """New files beside the first ones, all moved in at once."""
    fresh = source.parent / "fresh"
    texts = manual.paragraphs("fr", "de")
    (fresh / "more").mkdir(parents=True)
    for number in range(documents):
        text = f"Document {number}.\n\n{texts[number % len(texts)]}\n"
        (fresh / "more" / f"document{number:04}.md").write_text(text)
    shutil.move(fresh / "more", source / "more")


async def _chat(client: httpx.AsyncClient, number: int, load: Load) -> None:
    """Stream one answer after another."""
    turn = 0
    while True:
        turn += 1
        body = {
            "model": "starter",
            "prompt": _PROMPT.format(turn * _CHATS + number),
            "max_tokens": 200,
            "stream": True,
        }
        last = 0.0
        async for _ in _pieces(client, body):
            now = time.perf_counter()
            load.chats[number].times.append(now)
            if last:
                load.chats[number].gaps.append((now, now - last))
            last = now


async def _pieces(client: httpx.AsyncClient, body: dict[str, object]) -> AsyncIterator[str]:
    async with client.stream("POST", "/v1/completions", json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: {") and json.loads(line[6:])["choices"]:
                yield line


async def _search(client: httpx.AsyncClient, load: Load) -> None:
    """Questions at random times, ten a second (Poisson), none waiting for another."""
    chance = random.Random(3)
    titles = [section.title for section in manual.sections("en")]
    asking: set[asyncio.Task[None]] = set()
    try:
        while True:
            await asyncio.sleep(chance.expovariate(_SEARCHES))
            task = asyncio.create_task(_ask(client, load, chance.choice(titles)))
            asking.add(task)
            task.add_done_callback(asking.discard)
    finally:
        for task in asking:
            task.cancel()


async def _ask(client: httpx.AsyncClient, load: Load, query: str) -> None:
    begun = time.perf_counter()
    await _found(client, load.library, query)
    load.searches.append((begun, time.perf_counter() - begun))


async def _found(client: httpx.AsyncClient, library: str, query: str) -> list[str]:
    asked = {"query": query, "limit": 10}
    answer = await client.post(f"/v1/libraries/{library}/search", json=asked)
    return [hit["text"] for hit in answer.raise_for_status().json()["data"]]


async def _edit(client: httpx.AsyncClient, load: Load, names: list[str]) -> None:
    """Edit documents that were there before, and wait until a search sees each."""
    chance = random.Random(5)
    for number in range(10_000):
        await asyncio.sleep(chance.expovariate(1 / _EDIT_SECONDS))
        edit = by_word(number)
        await asyncio.to_thread(save, load.folder / chance.choice(names), edit.text)
        begun = time.perf_counter()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST):
                await _seen(client, load.library, edit.mark)
        load.edits.append((begun, time.perf_counter() - begun))


async def _seen(client: httpx.AsyncClient, library: str, mark: str) -> None:
    while True:
        if any(mark in text for text in await _found(client, library, mark)):
            return
        await asyncio.sleep(0.02)


async def _started(load: Load) -> None:
    """Until every chat has streamed for a while."""
    while True:
        if min(len(chat.times) for chat in load.chats) >= _WARM:
            return
        await asyncio.sleep(0.1)


def _rate(chat: Chat, begin: float, end: float) -> float:
    """Pieces a second of a stream between two moments."""
    return sum(begin <= at <= end for at in chat.times) / (end - begin)
