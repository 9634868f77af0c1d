"""Rows instead of documents: a join of a million with one that changes, and a topic's windows."""

import asyncio
import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from tests.servers import kafka

from bench.engine_peers.contender import CHECKOUT
from bench.live_peers.environments import prepare, python
from bench.live_rows.measured import Place, Told, folder, percentile, spread
from ponant.live.relations.port import Window
from ponant.live.relations.service import Relations
from ponant.live.sources.kafka import KafkaRows
from ponant.live.sources.kafka_topic import KafkaConfig
from ponant.store import Scope

_SCOPE = Scope("org_bench", "wsp_bench", "per_bench")
_ROWS, _CUSTOMERS, _REGIONS = 1_000_000, 10_000, 50
_BATCH = 50_000
_CHANGES = 100
_TOTAL = """
    SELECT region, sum(amount) AS total FROM sales JOIN customers USING (customer) GROUP BY region
"""
_MESSAGES = 100_000
_PACED, _PACE = 4000, 1000.0  # messages, and how many of them a second
_LONGEST = 120.0
_CHILD = "bench.live_peers.pathway_rows_child"
_MEMORY = 2 << 30


def joined(place: Place) -> Told:
    """One row of a million changes under a join with a group-by."""
    rows = 20_000 if place.quick else _ROWS
    told = Told(f"one row of {rows:,} changed under a join and a group-by → result seen")
    prepare(place.peers, ("pathway",))
    changes = _amounts(rows)
    with folder("joined") as work:
        told.figures["Ponant"] = asyncio.run(_joined(work, rows, changes))
    told.figures["Pathway, 50 ms"] = _joined_beside(place, rows, changes)
    told.notes["what bounds it"] = (
        "Ponant computes the whole SELECT again in DuckDB, over a million rows; Pathway keeps "
        "the groups and changes two of them, committed at once"
    )
    return told


def windowed(place: Place) -> Told:
    """Messages of a topic in tumbling windows of ten seconds, and whether they equal a recount."""
    messages = 5_000 if place.quick else _MESSAGES
    told = Told(f"{messages:,} Kafka messages into windows of 10 s")
    prepare(place.peers, ("pathway",))
    with kafka.running() as broker, folder("windowed") as work:
        topic = broker.topic("clicks")
        begin = 1_700_000_000.0
        for number in range(messages):
            broker.send(topic, str(number), {"number": number, "at": begin + number / 100})
            if number % 5000 == 0:
                broker.flush()
        broker.flush()
        told.figures["Ponant"] = asyncio.run(_windowed(work, broker, topic, messages))
        paced = messages + (200 if place.quick else _PACED)
        told.figures["Pathway, 50 ms"] = _windowed_beside(place, broker, topic, paced)
    told.goals = {"windows unlike a recount": 0}
    told.notes["broker"] = "librdkafka's mock cluster, four partitions"
    return told


def _amounts(rows: int) -> list[tuple[int, int]]:
    """Rows that change, each with its new amount."""
    chance = random.Random(3)
    return [(chance.randrange(rows), 1000 + number) for number in range(_CHANGES)]


async def _joined(work: Path, rows: int, changes: list[tuple[int, int]]) -> dict[str, Any]:
    relations = Relations(work, memory=_MEMORY)
    await relations.start()
    try:
        known = [{"customer": one, "region": one % _REGIONS} for one in range(_CUSTOMERS)]
        await relations.put_rows(_SCOPE, "customers", ["customer"], known, [])
        begun = time.perf_counter()
        for first in range(0, rows, _BATCH):
            batch = [_sale(row, row % 97) for row in range(first, min(first + _BATCH, rows))]
            await relations.put_rows(_SCOPE, "sales", ["id"], batch, [])
        loaded = time.perf_counter() - begun
        total = sum(row % 97 for row in range(rows))
        amounts: dict[int, int] = {}
        stored, seen, wrong = [], [], 0
        for row, amount in changes:
            total += amount - amounts.get(row, row % 97)
            amounts[row] = amount
            begun = time.perf_counter()
            await relations.put_rows(_SCOPE, "sales", ["id"], [_sale(row, amount)], [])
            stored.append(1000 * (time.perf_counter() - begun))
            answer = await relations.query(_SCOPE, _TOTAL, limit=_REGIONS)
            seen.append(1000 * (time.perf_counter() - begun))
            wrong += sum(int(one[1]) for one in answer.rows) != total
    finally:
        await relations.close()
    return {
        **spread("changed → result seen", seen),
        **spread("of it, storing", stored),
        "wrong results": wrong,
        "loaded, rows/s": round(rows / loaded),
    }


def _sale(row: int, amount: int) -> dict[str, int]:
    return {"id": row, "customer": row % _CUSTOMERS, "amount": amount}


class _Peer:
    """A child that tells its totals as JSON lines; each is kept with the time it was told."""

    def __init__(self, place: Place, **options: Any) -> None:
        self.process = subprocess.Popen(
            [python(place.peers, "pathway"), "-m", _CHILD, json.dumps(options)],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.told: list[tuple[float, int]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            if line.startswith("{"):
                told = json.loads(line)
                self.told.append((told["at"], told["total"]))

    def say(self, **what: Any) -> None:
        if self.process.stdin is not None:
            self.process.stdin.write(json.dumps(what) + "\n")
            self.process.stdin.flush()

    def wait(self, fits: Callable[[int], bool], since: int = 0) -> float:
        """When a total that fits was told.

        Raises:
            RuntimeError: none came.
        """
        deadline = time.monotonic() + _LONGEST
        while time.monotonic() < deadline and self.process.poll() is None:
            for at, total in list(self.told[since:]):
                if fits(total):
                    return at
            time.sleep(0.002)
        raise RuntimeError("Pathway told no result in time.")


@contextmanager
def _peer(place: Place, **options: Any) -> Iterator[_Peer]:
    peer = _Peer(place, **options)
    try:
        yield peer
    finally:
        peer.process.kill()
        peer.process.wait()


def _joined_beside(place: Place, rows: int, changes: list[tuple[int, int]]) -> dict[str, Any]:
    total = sum(row % 97 for row in range(rows))
    amounts: dict[int, int] = {}
    seen = []
    sizes = {"rows": rows, "customers": _CUSTOMERS, "regions": _REGIONS}
    begun = time.time()
    with _peer(place, what="join", **sizes) as peer:
        loaded = peer.wait(lambda told: told == total) - begun
        for row, amount in changes:
            total += amount - amounts.get(row, row % 97)
            amounts[row] = amount
            since, wanted = len(peer.told), total
            begun = time.time()
            peer.say(row=row, amount=amount)
            seen.append(1000 * (peer.wait(wanted.__eq__, since) - begun))
    return {**spread("changed → result seen", seen), "loaded, rows/s": round(rows / loaded)}


async def _windowed(work: Path, broker: kafka.Kafka, topic: str, messages: int) -> dict[str, Any]:
    config = {"servers": broker.servers, "topic": topic, "security": "plaintext", "batch": 5000}
    source = KafkaRows(msgspec.convert(config | {"key_field": "number"}, KafkaConfig))
    relations = Relations(work, memory=_MEMORY)
    await relations.start()
    window = Window(
        name="per_10s",
        table="clicks",
        time="moment",
        every=10,
        lateness=1e9,
        columns={"clicks": "count(*)"},
    )
    counts: list[tuple[float, int]] = []
    try:
        await relations.put_rows(_SCOPE, "clicks", ["id"], [{"id": -1, "moment": None}], [])
        await relations.put_window(_SCOPE, window)
        begun = time.time()
        following = asyncio.create_task(_follow(source, relations, counts))
        await _until(counts, messages)
        rate = messages / (counts[-1][0] - begun)
        paced = 200 if messages < _MESSAGES else _PACED
        sent = await asyncio.to_thread(_send_paced, broker, topic, messages, paced)
        await _until(counts, messages + paced)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        late = [_first(counts, messages + number + 1) - at for number, at in enumerate(sent)]
        found = await relations.query(
            _SCOPE, "SELECT window_start, clicks FROM per_10s", limit=9999
        )
        unlike = _unlike(found.rows, messages + paced)
    finally:
        await relations.close()
    return {
        "rows/s": round(rate),
        "message → window, p95 ms": round(1000 * percentile(late, 0.95), 1),
        "message → window, median ms": round(1000 * percentile(late, 0.5), 1),
        "windows unlike a recount": unlike,
    }


async def _follow(source: KafkaRows, relations: Relations, counts: list[tuple[float, int]]) -> None:
    """Store what comes, as a table's follower does, and note how much the windows hold."""
    async for batch in source.batches(None):
        rows = [
            {"id": int(row["number"]), "moment": datetime.fromtimestamp(row["at"], UTC)}
            for row in batch.upserts
        ]
        if rows:
            await relations.put_rows(_SCOPE, "clicks", ["id"], rows, [], batch.cursor)
            answer = await relations.query(_SCOPE, "SELECT sum(clicks) FROM per_10s")
            counts.append((time.time(), int(answer.rows[0][0])))


async def _until(counts: list[tuple[float, int]], total: int) -> None:
    deadline = time.monotonic() + _LONGEST
    while not counts or counts[-1][1] < total:
        if time.monotonic() > deadline:
            raise RuntimeError(f"The windows hold {counts[-1:]} of {total} messages.")
        await asyncio.sleep(0.01)


def _send_paced(broker: kafka.Kafka, topic: str, first: int, count: int) -> list[float]:
    """Messages at a steady pace; when each was sent."""
    sent, begun = [], time.time()
    for number in range(count):
        wait = begun + number / _PACE - time.time()
        if wait > 0:
            time.sleep(wait)
        body = {"number": first + number, "at": 1_700_000_000.0 + (first + number) / 100}
        broker.send(topic, str(first + number), body)
        sent.append(time.time())
    broker.flush()
    return sent


def _first(counts: list[tuple[float, int]], total: int) -> float:
    return next(at for at, count in counts if count >= total)


def _unlike(rows: list[list[Any]], messages: int) -> int:
    """Windows that do not hold what a recount of the messages gives."""
    expected: dict[int, int] = {}
    for number in range(messages):
        start = int((1_700_000_000.0 + number / 100) // 10 * 10)
        expected[start] = expected.get(start, 0) + 1
    found = {int(_seconds(start)): int(count) for start, count in rows if start is not None}
    keys = expected.keys() | found.keys()
    return sum(expected.get(one) != found.get(one) for one in keys)


def _seconds(moment: datetime | str) -> float:
    return (datetime.fromisoformat(moment) if isinstance(moment, str) else moment).timestamp()


def _windowed_beside(
    place: Place, broker: kafka.Kafka, topic: str, messages: int
) -> dict[str, Any]:
    begun = time.time()
    with _peer(place, what="window", servers=broker.servers, topic=topic) as peer:
        loaded = peer.wait(lambda told: told >= messages) - begun
        paced = 200 if messages < _MESSAGES else _PACED
        sent = _send_paced(broker, topic, messages, paced)
        peer.wait(lambda told: told >= messages + paced)
        late = [_first(peer.told, messages + number + 1) - at for number, at in enumerate(sent)]
    return {
        "rows/s": round(messages / loaded),
        "message → window, p95 ms": round(1000 * percentile(late, 0.95), 1),
        "message → window, median ms": round(1000 * percentile(late, 0.5), 1),
    }
