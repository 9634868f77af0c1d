"""Asks questions while documents change, and looks at every answer for what must not be in it.

`ask_under_change` takes its size and seed as arguments, so that tests and measurements share it.
"""

import asyncio
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ponant.kit import Settings
from ponant.live import LiveClient
from ponant.live.port import Embedder, SearchOptions, SearchResult
from ponant.store import Scope
from tests.fakes.embedder import FakeEmbedder

SCOPE = Scope(organisation_id="org_1", workspace_id="wsp_1", person_id="per_1")
_FILES = 12
_PARTS = 6
_UPLOADS = 4
_LIMIT = 8
Mode = Literal["hybrid", "keyword", "vector"]
_STAMP = re.compile(r"stamp(\d+)")


@dataclass
class Findings:
    """What was wrong in answers; all 0 where nothing was.

    Attributes:
        queries: answers that were looked at.
        changes: of documents, meanwhile.
        versions: of the library that answered.
        mixed: answers with passages of two versions of one document, or of two library versions.
        deleted: answers with a passage of a document whose deletion had returned before.
        torn: passages that stood in no version of their document.
        seconds: that it took.
    """

    queries: int = 0
    changes: int = 0
    versions: set[int] = field(default_factory=set)
    mixed: int = 0
    deleted: int = 0
    torn: int = 0
    seconds: float = 0.0


async def ask_under_change(
    home: Path,
    folder: Path,
    *,
    queries: int,
    clients: int = 4,
    seed: int = 1,
    modes: Sequence[Mode] = ("hybrid", "keyword", "vector"),
) -> Findings:
    """Ask so many questions while files and uploads change all the time.

    Args:
        clients: how many ask at once.
        modes: ways of searching that take turns.
    """
    client = _client(home, folder)
    await client.start()
    try:
        library = await client.create_library(SCOPE, "Handbook")
        world = _World(folder, library.id, random.Random(seed))
        for number in range(_FILES):
            world.rewrite(number)
        await client.add_source(SCOPE, library.id, "folder", {"path": str(folder)})
        changing = asyncio.create_task(_change(world, client))
        begun = time.monotonic()
        share = -(-queries // clients)
        await asyncio.gather(*(_ask(world, client, share, modes) for _ in range(clients)))
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)
        world.findings.seconds = time.monotonic() - begun
        return world.findings
    finally:
        await client.close()


def _client(home: Path, folder: Path) -> LiveClient:
    async def find() -> Embedder:
        return FakeEmbedder()

    return LiveClient(Settings(home=home, live_roots=str(folder)), find)


class _World:
    """The documents as they are and were, and what answers may say of them."""

    def __init__(self, folder: Path, library_id: str, rng: random.Random) -> None:
        self.library_id = library_id
        self.rng = rng
        self.findings = Findings()
        self.deleted: set[str] = set()
        self._folder = folder
        self._texts: dict[int, str] = {}  # by stamp
        self._seen: dict[tuple[int, str], int] = {}  # library version and document to stamp

    def text(self, name: str) -> str:
        """A text of several passages, all of one new stamp."""
        stamp = len(self._texts)
        self._texts[stamp] = "\n\n".join(
            f"## Part {part}\n\nThe {name} says stamp{stamp} in part {part}. "
            + f"The harbour office keeps what the {name} says in room {part}. " * 2
            for part in range(_PARTS)
        )
        return self._texts[stamp]

    def rewrite(self, number: int) -> None:
        """Change a file as editors do, by another in its place."""
        path = self._folder / f"file{number}.md"
        fresh = path.with_suffix(".new")
        fresh.write_text(self.text(f"file{number}"))
        fresh.rename(path)
        self.findings.changes += 1

    def remove(self, number: int) -> None:
        (self._folder / f"file{number}.md").unlink(missing_ok=True)
        self.findings.changes += 1

    def look_at(self, result: SearchResult, deleted: set[str]) -> None:
        """Hold an answer against what may be in it."""
        findings = self.findings
        findings.queries += 1
        findings.versions.add(result.version)
        stamps: dict[str, set[tuple[int, int]]] = {}
        for hit in result.hits:
            stamp = int(_STAMP.search(self._with_stamp(hit.text)).group(1))
            stamps.setdefault(hit.document_id, set()).add((stamp, hit.document_version))
            findings.torn += hit.text not in self._texts[stamp]
        findings.deleted += any(hit.document_id in deleted for hit in result.hits)
        findings.mixed += any(len(found) > 1 for found in stamps.values()) or any(
            self._seen.setdefault((result.version, document_id), stamp) != stamp
            for document_id, found in stamps.items()
            for stamp, _ in found
        )

    def _with_stamp(self, text: str) -> str:
        """The text, or where a passage names no stamp, one that stands in no version."""
        if _STAMP.search(text):
            return text
        self.findings.torn += 1
        return "stamp0"


async def _change(world: _World, client: LiveClient) -> None:
    """Rewrite, remove and add documents until cancelled."""
    uploads: list[str] = []
    while True:
        number = world.rng.randrange(_FILES)
        if world.rng.random() < 0.15:
            world.remove(number)
        else:
            world.rewrite(number)
        if world.rng.random() < 0.3:
            await _upload(world, client, uploads)
        await asyncio.sleep(world.rng.random() * 0.05)


async def _upload(world: _World, client: LiveClient, uploads: list[str]) -> None:
    if len(uploads) >= _UPLOADS:
        document_id = uploads.pop(0)
        await client.delete_document(SCOPE, world.library_id, document_id)
        world.deleted.add(document_id)
    name, text = f"upload{world.findings.changes}.md", world.text("upload")
    added = await client.add_document(SCOPE, world.library_id, name, text.encode())
    uploads.append(added.id)
    world.findings.changes += 1


async def _ask(world: _World, client: LiveClient, count: int, modes: Sequence[Mode]) -> None:
    for number in range(count):
        options = SearchOptions(mode=modes[number % len(modes)])
        deleted = set(world.deleted)
        name = world.rng.choice(["upload", *(f"file{n}" for n in range(_FILES))])
        query = f"What says the {name}?"
        found = await client.search(SCOPE, [world.library_id], query, _LIMIT, options=options)
        world.look_at(found, deleted)
