"""Queries under constant change: do answers mix versions, or come from deleted documents?

Every paragraph of a document says which edition it is of. An answer with two editions of a document
mixes them; one of a library's version that no longer has a document must not show it.
"""

import asyncio
import random
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.live_peers.hashing import HashingEmbedder
from bench.live_rows.measured import Place, Told, folder
from ponant.kit import Settings
from ponant.live import LiveClient
from ponant.live.port import Embedder, SearchResult
from ponant.store import Scope

_SCOPE = Scope("org_bench", "wsp_bench", "per_bench")
_DOCUMENTS = 20
_PARAGRAPHS = 6
_CLIENTS = 4
_PAUSE = 0.02  # seconds between two changes
_EDITION = re.compile(r"edition (\d+)")
_TOPICS = (
    *("harbour", "lighthouse", "ferry", "market", "bridge"),
    *("garden", "museum", "station", "tower", "library"),
)


@dataclass
class Seen:
    """What answers showed.

    Attributes:
        shown: by library version, the documents that an answer of it showed.
        gone: documents with the version that deleted them.
    """

    queries: int = 0
    mixed: int = 0
    changes: int = 0
    shown: dict[int, set[str]] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)

    def take(self, result: SearchResult) -> None:
        editions: dict[str, set[str]] = {}
        for hit in result.hits:
            editions.setdefault(hit.document_id, set()).update(_EDITION.findall(hit.text))
        self.queries += 1
        self.mixed += any(len(numbers) > 1 for numbers in editions.values())
        self.shown.setdefault(result.version, set()).update(editions)

    @property
    def from_deleted(self) -> int:
        """Documents that stood in an answer of a version after their end."""
        return sum(
            self.gone.get(document, version + 1) <= version
            for version, documents in self.shown.items()
            for document in documents
        )


def mixing(place: Place) -> Told:
    """100,000 queries with ``--full``; a fifth of them else."""
    queries = 2_000 if place.quick else 100_000 if place.full else 20_000
    told = Told(f"{queries:,} queries under constant change")
    with folder("versions") as work:
        begun = time.perf_counter()
        seen = asyncio.run(_play(work, queries))
        seconds = time.perf_counter() - begun
    told.figures["Ponant"] = {
        "answers that mix versions": seen.mixed,
        "answers from deleted documents": seen.from_deleted,
        "queries": seen.queries,
        "queries/s": round(seen.queries / seconds),
        "changes meanwhile": seen.changes,
        "library versions seen": len(seen.shown),
    }
    told.goals = {"answers that mix versions": 0, "answers from deleted documents": 0}
    return told


async def _play(work: Path, queries: int) -> Seen:
    corpus, home = work / "docs", work / "home"
    corpus.mkdir()
    home.mkdir()
    chance, seen = random.Random(5), Seen()
    for number in range(_DOCUMENTS):
        _write(corpus, number, 0)
    client = LiveClient(Settings(home=home, live_roots=str(corpus)), _embedder)
    await client.start()
    try:
        library = await client.create_library(_SCOPE, "Versions")
        listening = asyncio.create_task(_listen(client, seen))
        config = {"path": str(corpus)}
        await client.add_source(_SCOPE, library.id, "folder", config, trusted=True)
        changing = asyncio.create_task(_change(corpus, chance, seen))
        asking = [
            _ask(client, library.id, random.Random(one), seen, queries) for one in range(_CLIENTS)
        ]
        await asyncio.gather(*asking)
        changing.cancel()
        await asyncio.sleep(1)
        listening.cancel()
        await asyncio.gather(changing, listening, return_exceptions=True)
    finally:
        await client.close()
    return seen


async def _embedder() -> Embedder:
    return HashingEmbedder()


async def _listen(client: LiveClient, seen: Seen) -> None:
    async for change in client.changes(_SCOPE):
        for document_id, _, what in change.documents:
            if what == "deleted":
                seen.gone[document_id] = change.version


async def _change(corpus: Path, chance: random.Random, seen: Seen) -> None:
    edition = 0
    while True:
        edition += 1
        number = chance.randrange(_DOCUMENTS)
        if chance.random() < 0.15:
            _place(corpus, number).unlink(missing_ok=True)
        else:
            _write(corpus, number, edition)
        seen.changes += 1
        await asyncio.sleep(_PAUSE)


async def _ask(
    client: LiveClient, library_id: str, chance: random.Random, seen: Seen, queries: int
) -> None:
    while seen.queries < queries:
        query = f"what is new at the {chance.choice(_TOPICS)} in edition"
        seen.take(await client.search(_SCOPE, [library_id], query, 20))


def _write(corpus: Path, number: int, edition: int) -> None:
    topic = _TOPICS[number % len(_TOPICS)]
    parts = [
        f"The {topic} of place {number}, part {part}, in edition {edition}: "
        "what is written here was written at once with everything else on this page, and nothing "
        "of another edition may stand beside it."
        for part in range(_PARAGRAPHS)
    ]
    other = corpus / f".{number}.tmp"
    other.write_text("\n\n".join(parts) + "\n")
    other.replace(_place(corpus, number))


def _place(corpus: Path, number: int) -> Path:
    return corpus / f"page{number:02}.md"
