"""Kills the live process during syncs, at random moments or at named points, and looks after it.

`kill_during_syncs` takes its size and seed as arguments, so that tests and measurements share it.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ponant.kit import Settings
from ponant.kit.errors import Unavailable
from ponant.live import LiveClient
from ponant.live.port import Embedder
from ponant.store import Scope
from tests.fakes.embedder import FakeEmbedder
from tests.live.crash.agreement import disagreements, lying, stored
from tests.patience import PATIENCE

SCOPE = Scope(organisation_id="org_1", workspace_id="wsp_1", person_id="per_1")
IN_FLIGHT = 64  # passages: as many are stored at once, while as many more are embedded
_FILES = 30


@dataclass
class Findings:
    """What was wrong after kills; all empty or 0 where nothing was.

    Attributes:
        kills: how often the process was killed.
        lost: files without their document, or with another text than theirs.
        extra: documents without a file, or doubled.
        disagreements: within live.db.
        embedded_again: most passages that one kill made to be embedded a second time.
        longest_return: seconds until the process answered again.
    """

    kills: int = 0
    lost: int = 0
    extra: int = 0
    disagreements: list[str] = field(default_factory=list)
    embedded_again: int = 0
    longest_return: float = 0.0


async def kill_during_syncs(
    home: Path,
    folder: Path,
    *,
    kills: int,
    seed: int,
    points: Sequence[str] = (),
    address: str = "",
) -> Findings:
    """Change files, kill the process meanwhile, and compare once it is in step again.

    Args:
        points: where to kill, one after the other; random moments where there are none. The
            environment variable ``PONANT_LIVE_FAULT`` must name a file.
        address: of a PostgreSQL database in place of live.db.
    """
    rng = random.Random(seed)
    embedder = FakeEmbedder(delay=0.001)
    settings = Settings(home=home, live_roots=str(folder), live_database_url=address or None)
    client = LiveClient(settings, _source(embedder))
    await client.start()
    try:
        library = await client.create_library(SCOPE, "Handbook")
        await client.add_source(SCOPE, library.id, "folder", {"path": str(folder)})
        findings = Findings()
        for number in range(kills):
            known = len(embedder.passages)
            if points:
                await _kill_at(points[number % len(points)], client, folder, rng)
            else:
                await _kill_sometime(client, folder, rng)
            findings.kills += 1
            begun = time.monotonic()
            await _answering(client)
            findings.longest_return = max(findings.longest_return, time.monotonic() - begun)
            await _settled(client, library.id, home, folder, address)
            _compare(findings, home, folder, address)
            again = _repeated(embedder.passages, known)
            findings.embedded_again = max(findings.embedded_again, again)
    finally:
        await client.close()
    return findings


def _repeated(passages: list[str], known: int) -> int:
    """How many of the passages since were embedded before."""
    counts = Counter(passages)
    fresh = Counter(passages[known:])
    return sum(count - (counts[text] == count) for text, count in fresh.items())


def _source(embedder: FakeEmbedder):
    async def find() -> Embedder:
        return embedder

    return find


async def _kill_sometime(client: LiveClient, folder: Path, rng: random.Random) -> None:
    change_files(folder, rng)
    await asyncio.sleep(rng.random() * 0.4)
    _kill(client)


async def _kill_at(name: str, client: LiveClient, folder: Path, rng: random.Random) -> None:
    """Have the process die at a point; changes go on until it passes there."""
    before = client.pid
    _arm(name)
    deadline = time.monotonic() + PATIENCE
    while _is_armed() and client.pid == before:
        assert time.monotonic() < deadline, f"It never passed {name}."
        change_files(folder, rng)
        await asyncio.sleep(0.3)


def _arm(name: str) -> None:
    Path(os.environ["PONANT_LIVE_FAULT"]).write_text(name)


def _is_armed() -> bool:
    return Path(os.environ["PONANT_LIVE_FAULT"]).exists()


def _kill(client: LiveClient) -> None:
    if client.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(client.pid, signal.SIGKILL)


async def _answering(client: LiveClient) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            await client.status(SCOPE)
        except Unavailable:
            assert time.monotonic() < deadline, "It does not come back."
            await asyncio.sleep(0.02)
        else:
            return


async def _settled(
    client: LiveClient, library_id: str, home: Path, folder: Path, address: str
) -> None:
    """Wait until the library is in step with the folder as it lies; not for ever.

    By meaning too: before the embedder is back, it is in step by keywords alone, and says so.
    """
    deadline = time.monotonic() + PATIENCE
    wanted = lying(folder)
    while time.monotonic() < deadline:
        fresh = (await client.get_library(SCOPE, library_id)).freshness
        if fresh.state == "in_step" and not fresh.message and stored(home, address) == wanted:
            return
        await asyncio.sleep(0.05)


def _compare(findings: Findings, home: Path, folder: Path, address: str) -> None:
    there, wanted = stored(home, address), lying(folder)
    findings.lost += (wanted - there).total()
    findings.extra += (there - wanted).total()
    findings.disagreements += disagreements(home, address=address, complete=True)


def change_files(folder: Path, rng: random.Random) -> None:
    """Write, rewrite, rename and delete some files; every text is new."""
    for _ in range(rng.randint(2, 6)):
        path = folder / f"{rng.randrange(_FILES)}.md"
        other = folder / f"{rng.randrange(_FILES)}.md"
        match rng.choice(["write", "write", "edit", "rename", "delete"]):
            case "write":
                path.write_text(_text(rng, rng.choice([1, 3, 25])))
            case "edit" if path.exists():
                path.write_text(f"{path.read_text()}\n\n{_text(rng, 1)}")
            case "rename" if path.exists():
                path.rename(other)
            case "delete":
                path.unlink(missing_ok=True)
            case _:
                pass
    if not any(folder.iterdir()):
        (folder / "0.md").write_text(_text(rng, 1))


def _text(rng: random.Random, paragraphs: int) -> str:
    """Paragraphs that are passages of their own."""
    return "\n\n".join(
        f"## Room {rng.getrandbits(64):x}\n\n" + f"The key {rng.getrandbits(64):x} opens it. " * 5
        for _ in range(paragraphs)
    )
