"""Times live knowledge in SQLite, in PostgreSQL, and in PostgreSQL with pgvector, by turns.

``python -m bench.postgres [--passages 20000]``. Each kind has a process of its own, over passages
of made-up words with random vectors of 384 numbers, so that no embedder takes part: a query is the
whole hybrid search of eight words and a vector, an edit one changed paragraph of a document of
fifty, until a search by its vector finds it. PostgreSQL is the one that tests start from a wheel;
it waits for the disk, as it does by default.
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tests.servers import postgres

from ponant.kit import SystemClock
from ponant.live import storage
from ponant.live.declarations import Declarations
from ponant.live.indexing import pgvector
from ponant.live.indexing.index import Index, Reading
from ponant.live.indexing.search import DEPTH, search
from ponant.live.port import SearchOptions
from ponant.live.reading.chunking import chunk
from ponant.live.reading.passages import fingerprint
from ponant.store import Scope

_SCOPE = Scope(organisation_id="org", workspace_id="wsp", person_id="per")
_KINDS = {"sqlite": "memory", "postgres": "memory", "pgvector": "pgvector"}
_SETTINGS = ("fsync = on", "autovacuum = on", "shared_buffers = '512MB'")
_DIMENSION = 384
_LONG = 50  # passages of a document
_RUNS, _EDITS, _RECALLED = 60, 20, 20
_WORDS = [f"{a}{b}" for a in ("ba", "do", "ke", "li", "mu", "na", "po", "ri") for b in range(1250)]


class _Corpus:
    """An index of one library in a database."""

    def __init__(self, kind: str, folder: Path, url: str) -> None:
        database = storage.opened(folder, url)
        database.migrate("live")
        clock = SystemClock()
        table = pgvector.chosen(database, _KINDS[kind])
        self._index = Index(database, clock, folder / "vectors", table)
        self._index.load_vectors("made up")
        self._library = Declarations(database, clock).create_library(_SCOPE, "Bench", "", None)
        self._random = np.random.default_rng(7)
        self._documents: list[tuple[str, list[str]]] = []
        self._vectors: dict[str, np.ndarray] = {}

    def fill(self, passages: int) -> float:
        """Store documents; returns the seconds it took, files and indexes with it."""
        begun = time.perf_counter()
        for _ in range(passages // _LONG):
            paragraphs = [self._paragraph() for _ in range(_LONG)]
            self._documents.append((self._put(paragraphs, None), paragraphs))
        kept = self._index.keep_vectors(self._library)
        if kept is not None:
            self._index.attach_vectors(self._library, "made up", kept)
        return time.perf_counter() - begun

    def query(self) -> float:
        """Milliseconds of a hybrid search."""
        words = " ".join(self._random.choice(_WORDS, 8))
        vector, begun = self._direction(), time.perf_counter()
        search(self._index, _SCOPE, [self._library], words, vector, 10, SearchOptions())
        return (time.perf_counter() - begun) * 1000

    def edit(self) -> float:
        """Milliseconds from one paragraph edited to the search that finds it by its vector."""
        document_id, paragraphs = self._documents[self._random.integers(len(self._documents))]
        paragraphs[int(self._random.integers(_LONG))] = self._paragraph()
        begun = time.perf_counter()
        self._put(paragraphs, document_id)
        newest = next(reversed(self._vectors.values()))
        options = SearchOptions(mode="vector")
        found = search(self._index, _SCOPE, [self._library], "-", newest, 1, options)
        taken = time.perf_counter() - begun
        assert found.hits[0].document_id == document_id
        return taken * 1000

    def recall(self) -> float:
        """The share of ten hits by vector that are among the fifty nearest, by numpy."""
        inputs = list(self._vectors)
        matrix, hits = np.stack(list(self._vectors.values())), 0
        for _ in range(_RECALLED):
            vector = self._direction()
            nearest = {inputs[i] for i in np.argsort(-(matrix @ vector))[:DEPTH]}
            options = SearchOptions(mode="vector")
            found = search(self._index, _SCOPE, [self._library], "-", vector, 10, options)
            hits += sum(fingerprint(hit.text) in nearest for hit in found.hits)
        return hits / (10 * _RECALLED)

    def memory(self) -> float:
        """MiB that this process holds, the vectors to compare with (`recall`) among them."""
        return psutil.Process().memory_info().rss / 2**20

    def _paragraph(self) -> str:
        return " ".join(self._random.choice(_WORDS, 40)) + "."

    def _direction(self) -> np.ndarray:
        made = self._random.standard_normal(_DIMENSION).astype(np.float32)
        return made / np.linalg.norm(made)

    def _put(self, paragraphs: list[str], document_id: str | None) -> str:
        written = "\n\n".join(paragraphs)
        chunks = chunk(written, max_tokens=256)
        keys = [fingerprint(one.input) for one in chunks]
        self._vectors |= {key: self._direction() for key in keys if key not in self._vectors}
        name = f"{len(self._documents)}.md"
        reading = Reading(
            path=name,
            name=name,
            media_type="text/markdown",
            size=len(written),
            signature="",
            content_hash=fingerprint(written),
            text=written,
            chunks=chunks,
        )
        document, _ = self._index.put_document(
            _SCOPE,
            self._library,
            reading,
            document_id=document_id,
            source_id=None,
            vectors={key: self._vectors[key] for key in keys},
            identity="made up",
        )
        return document


def _serve(asked: Connection, kind: str, folder: Path, url: str) -> None:
    corpus = _Corpus(kind, folder, url)
    with suppress(EOFError):  # once nobody asks any more
        while True:
            method, arguments = asked.recv()
            asked.send(getattr(corpus, method)(*arguments))


def measure(passages: int, folder: Path) -> dict[str, dict[str, float]]:
    """Every kind's figures."""
    server = postgres.shared("pgvector")
    server.run(*(f"alter system set {one}" for one in _SETTINGS))
    server.stop("fast")
    server.start()
    context = multiprocessing.get_context("spawn")
    children: dict[str, Connection] = {}
    for kind in _KINDS:
        children[kind], theirs = context.Pipe()
        url = "" if kind == "sqlite" else server.fresh()
        process = context.Process(target=_serve, args=(theirs, kind, folder / kind, url))
        process.daemon = True
        process.start()

    def ask(kind: str, method: str, *arguments: Any) -> float:
        children[kind].send((method, arguments))
        return float(children[kind].recv())

    filled = {kind: ask(kind, "fill", passages) for kind in _KINDS}
    queries: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    edits: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    for number in range(_RUNS):
        for kind in _KINDS:
            queries[kind].append(ask(kind, "query"))
            if number < _EDITS:
                edits[kind].append(ask(kind, "edit"))
    return {
        kind: {
            "passages": passages,
            "query_ms": statistics.median(queries[kind]),
            "edit_ms": statistics.median(edits[kind]),
            "fill_s": filled[kind],
            "rss_mib": ask(kind, "memory"),
            "recall": ask(kind, "recall"),
        }
        for kind in _KINDS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=20_000)
    passages = parser.parse_args().passages
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(passages, Path(folder)), indent=1))


if __name__ == "__main__":
    main()
