"""CocoIndex under measurement: its live folder source, each passage's embedding memoised.

CocoIndex brings no search, so that a small one stands behind it: NumPy over all vectors and
SQLite's FTS5, put together by reciprocal rank fusion. It imports nothing of Ponant.
"""

import asyncio
import json
import re
import sqlite3
import sys
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cocoindex as coco
import numpy as np
from cocoindex.connectorkits.fingerprint import fingerprint_object
from cocoindex.connectors import localfs
from cocoindex.resources.file import FileLike
from numpy.typing import NDArray

from bench.live_peers.answering import serve
from bench.live_peers.embedding import DIMENSION, embed
from bench.live_peers.splitting import paragraphs

_BATCH = 32
_CANDIDATES = 50
_SMOOTHING = 10  # of the fusion, as in Ponant
_WORD = re.compile(r"\w+")
_options: dict[str, Any] = json.loads(sys.argv[1])


class Passage(NamedTuple):
    text: str
    vector: Any


class Write(NamedTuple):
    """A passage to store; None removes it."""

    key: str
    passage: Passage | None


class Search:
    """Passages in memory, by key; changed and asked under one lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vectors = np.zeros((1024, DIMENSION), np.float32)
        self._texts: list[str] = []
        self._places: dict[str, int] = {}
        self._free: list[int] = []
        self._words = sqlite3.connect(":memory:", check_same_thread=False)
        self._words.execute("CREATE VIRTUAL TABLE words USING fts5(text)")

    def apply(self, writes: Sequence[Write]) -> None:
        with self._lock:
            for write in writes:
                self._remove(write.key)
                if write.passage is not None:
                    self._add(write.key, write.passage)

    def ask(self, query: str, vector: NDArray[np.float32], count: int) -> list[str]:
        with self._lock:
            scores: dict[int, float] = {}
            for ranked in (self._nearest(vector), self._matching(query)):
                for rank, place in enumerate(ranked, start=1):
                    scores[place] = scores.get(place, 0.0) + 1 / (_SMOOTHING + rank)
            best = sorted(scores, key=lambda place: -scores[place])[:count]
            return [self._texts[place] for place in best]

    def _nearest(self, vector: NDArray[np.float32]) -> list[int]:
        similar = self._vectors[: len(self._texts)] @ vector
        return [int(place) for place in np.argsort(-similar)[:_CANDIDATES]]

    def _matching(self, query: str) -> list[int]:
        expression = " OR ".join(f'"{word}"' for word in _WORD.findall(query))
        sql = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
        found = self._words.execute(sql, (expression, _CANDIDATES)) if expression else ()
        return [row - 1 for (row,) in found]

    def _add(self, key: str, passage: Passage) -> None:
        if self._free:
            place = self._free.pop()
            self._texts[place] = passage.text
        else:
            place = len(self._texts)
            self._texts.append(passage.text)
        if place >= len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
        self._places[key] = place
        self._vectors[place] = passage.vector
        row = (place + 1, passage.text)
        self._words.execute("INSERT INTO words(rowid, text) VALUES (?, ?)", row)

    def _remove(self, key: str) -> None:
        if (place := self._places.pop(key, None)) is not None:
            self._vectors[place] = 0
            self._words.execute("DELETE FROM words WHERE rowid = ?", (place + 1,))
            self._free.append(place)


_search = Search()


def _apply(_provider: Any, actions: Sequence[Write], /) -> None:
    _search.apply(actions)


class Passages(coco.TargetHandler[Passage, bytes]):
    """The in-memory search as a target of CocoIndex."""

    _sink = coco.TargetActionSink.from_fn(_apply)

    def reconcile(
        self,
        key: Any,
        desired: Any,
        before: Collection[bytes],
        may_be_missing: bool,  # noqa: FBT001 - CocoIndex's signature
        /,
    ) -> Any:
        if coco.is_non_existence(desired):
            return coco.TargetReconcileOutput(
                action=Write(key, None), sink=self._sink, tracking_record=coco.NON_EXISTENCE
            )
        mark = fingerprint_object(desired.text)
        if before and not may_be_missing and all(one == mark for one in before):
            return None
        return coco.TargetReconcileOutput(
            action=Write(key, desired), sink=self._sink, tracking_record=mark
        )


_provider = coco.register_root_target_states_provider("bench_passages", Passages())


@coco.fn.as_async(batching=True, max_batch_size=_BATCH, memo=True)
def vector_of(texts: list[str]) -> list[NDArray[np.float32]]:
    return list(embed(_options["embedder"], texts, "passage"))


@coco.fn(memo=True)
async def one_file(file: FileLike) -> None:
    path = str(file.file_path.path)
    texts = paragraphs(await file.read_text())
    vectors = await asyncio.gather(*(vector_of(text) for text in texts))
    for number, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
        state = _provider.target_state(f"{path}#{number}", Passage(text, vector))
        coco.declare_target_state(state)


@coco.fn
async def main(folder: Path) -> None:
    await coco.mount_each(one_file, localfs.walk_dir(folder, live=True, recursive=True).items())


def _ask(asked: dict[str, Any]) -> dict[str, Any]:
    vector = embed(_options["embedder"], [asked["query"]], "query")[0]
    return {"texts": _search.ask(asked["query"], vector, asked["k"])}


if __name__ == "__main__":
    threading.Thread(target=serve, args=(_options["port"], {"/search": _ask}), daemon=True).start()
    app = coco.App("bench", main, folder=Path(_options["folder"]))
    app.update_blocking(live=True)
