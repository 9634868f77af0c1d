"""Keeps a library's vectors in a file beside live.db, so that a restart maps what it knew.

live.db stays the truth: a passage's row and what was embedded for it never change, so a file says
nothing wrong of the rows that are still there, and rows that it lacks are read from live.db. Only a
database that was put back from a backup gives the numbers of rows out again: each row of a file
says what was embedded, so that such a file is told and made anew. A file is written whole and then
renamed; large ones have an approximate index (HNSW: Malkov and Yashunin, TPAMI 2020, by usearch)
beside them, which proposes rows that are then compared exactly.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from ponant.live.indexing.vectors import Segment, Vector
from ponant.live.reading.passages import fingerprint

if TYPE_CHECKING:
    from usearch.index import Index as Graph

APPROXIMATE_FROM = 120_000  # rows; fewer are compared one by one
_CONNECTIVITY = 32
_BUILT_WITH = 128  # candidates looked at for each row that comes
_SEARCHED_WITH = 3072  # for each question, which takes as long as 120,000 rows one by one
_ALIGNMENT = 4096
_KEY_DIGITS = 16  # of a fingerprint in hex
_NOT_THERE = 0

Keys = NDArray[np.uint64]

_log = structlog.get_logger(__name__)


class _Head(msgspec.Struct):
    identity: str
    rows: int
    dimension: int
    keyed: bool = False


class VectorFiles:
    """The files of one installation.

    Args:
        folder: where they lie.
        approximate_from: rows from which on a file has an approximate index.
    """

    def __init__(self, folder: Path, approximate_from: int = APPROXIMATE_FROM) -> None:
        self._folder = folder
        self.approximate_from = approximate_from

    def last_identity(self) -> str | None:
        """The embedder whose vectors were written last; None where there are no files."""
        paths = self._folder.glob("*.vectors")
        try:
            return _head(max(paths, key=lambda path: path.stat().st_mtime_ns)).identity
        except (OSError, ValueError, msgspec.DecodeError):  # ValueError: there is none
            return None

    def open(self, library_id: str, identity: str) -> Segment | None:
        """A library's file, mapped; None where there is none that can be used."""
        path = self._path(library_id, identity)
        try:
            head, ids, vectors = _mapped(path)
        except (OSError, ValueError, msgspec.DecodeError):
            return None
        if head.identity != identity:
            return None
        graph = None
        if head.rows >= self.approximate_from:
            graph = _viewed(path.with_suffix(".graph"), head)
        return Segment(vectors, ids, np.zeros(head.rows, np.int32), graph)

    def of_now(
        self, library_id: str, identity: str, inputs: Mapping[int, str], newest: int
    ) -> Segment | None:
        """As `open`; files that do not belong go, as after a backup was put back."""
        if not self.belongs(library_id, identity, inputs, newest):
            _log.info("Vectors in files are not of this database, and are kept anew.")
            self.forget(library_id)
        return self.open(library_id, identity)

    def belongs(
        self, library_id: str, identity: str, inputs: Mapping[int, str], newest: int
    ) -> bool:
        """Whether a library's file is of its database as it is now; true where there is none.

        Args:
            inputs: what was embedded (`fingerprint`) for each of the library's rows.
            newest: the highest row of all libraries; higher ones will be given out again.
        """
        try:
            head, ids, _ = mapped = _mapped(self._path(library_id, identity))
            keys = _kept_keys(self._path(library_id, identity), *mapped)
        except (OSError, ValueError, msgspec.DecodeError):
            return True  # nothing that could be used
        if not head.keyed or (len(ids) and int(ids.max()) > newest):
            return False
        known = keys_of(inputs, ids)
        return bool(np.all((known == keys) | (known == _NOT_THERE)))

    def write(
        self,
        library_id: str,
        identity: str,
        ids: NDArray[np.int64],
        vectors: Vector,
        inputs: Mapping[int, str],
    ) -> Segment | None:
        """Keep rows; the approximate index goes on from what the last file had in the same order.

        Args:
            inputs: what was embedded (`fingerprint`) for each row that is still there.

        Returns:
            The file, mapped; None where the disk would not have it.
        """
        path = self._path(library_id, identity)
        before = self.open(library_id, identity)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if len(ids) >= self.approximate_from:
                self._build(path, before, ids, vectors)
            head = _Head(identity, len(ids), vectors.shape[1], keyed=True)
            _write(path, head, ids, vectors, keys_of(inputs, ids))
        except OSError as e:
            _log.warning("Vectors are not kept in a file; a restart takes longer.", reason=str(e))
            return None
        return self.open(library_id, identity)

    def forget(self, library_id: str) -> None:
        """Delete the files of a library."""
        for path in self._folder.glob(f"{library_id}.*"):
            path.unlink(missing_ok=True)

    def _path(self, library_id: str, identity: str) -> Path:
        return self._folder / f"{library_id}.{fingerprint(identity)[:16]}.vectors"

    def _build(
        self, path: Path, before: Segment | None, ids: NDArray[np.int64], vectors: Vector
    ) -> None:
        graph_path = path.with_suffix(".graph")
        graph = _graph(vectors.shape[1])
        known = 0
        if before is not None and before.graph is not None:
            known = len(before.ids)
            if known <= len(ids) and np.array_equal(before.ids, ids[:known]):
                graph.load(str(graph_path))
            else:
                known = 0
        keys = np.arange(known, len(ids), dtype=np.uint64)
        graph.add(keys, vectors[known:], threads=1)  # the rest of the machine has other work
        partial = graph_path.with_suffix(".graph-new")
        graph.save(str(partial))
        _settle(partial)
        # Gone first: a graph and rows of different lives must never stand together.
        path.unlink(missing_ok=True)
        partial.replace(graph_path)


def _graph(dimension: int) -> "Graph":
    from usearch.index import Index  # noqa: PLC0415 - only large libraries need one

    return Index(
        ndim=dimension,
        metric="ip",
        dtype="f16",
        connectivity=_CONNECTIVITY,
        expansion_add=_BUILT_WITH,
        expansion_search=_SEARCHED_WITH,
    )


def _viewed(path: Path, head: _Head) -> "Graph | None":
    """A graph as it lies on the disk; None where it is not there or not of these rows."""
    graph = _graph(head.dimension)
    try:
        graph.view(str(path))
    except (OSError, RuntimeError, ValueError):
        return None
    return graph if len(graph) == head.rows else None


def _head(path: Path) -> _Head:
    with path.open("rb") as file:
        return msgspec.json.decode(file.readline(_ALIGNMENT), type=_Head)


def keys_of(inputs: Mapping[int, str], ids: NDArray[np.int64]) -> Keys:
    """What was embedded for some rows, in 64 bits; 0 for rows that are not there."""
    found = np.full(len(ids), _NOT_THERE, np.uint64)
    if not inputs:
        return found
    rows = np.fromiter(inputs, np.int64, len(inputs))
    begins = "".join(one[:_KEY_DIGITS] for one in inputs.values())
    keys = np.frombuffer(bytes.fromhex(begins), np.uint64)
    order = np.argsort(rows)
    places = np.minimum(np.searchsorted(rows, ids, sorter=order), len(rows) - 1)
    there = rows[order[places]] == ids
    found[there] = keys[order[places[there]]]
    return found


def _kept_keys(path: Path, head: _Head, ids: NDArray[np.int64], vectors: Vector) -> Keys:
    if not head.keyed:
        return np.full(len(ids), _NOT_THERE, np.uint64)
    begin = _after(_after(_ALIGNMENT, ids.nbytes), vectors.nbytes)
    return np.asarray(np.memmap(path, np.uint64, "r", begin, (head.rows,)))


def _after(begin: int, length: int) -> int:
    """Where what follows begins."""
    return begin + -(-length // _ALIGNMENT) * _ALIGNMENT


def _mapped(path: Path) -> tuple[_Head, NDArray[np.int64], Vector]:
    head = _head(path)
    ids = np.memmap(path, np.int64, "r", _ALIGNMENT, (head.rows,))
    begin = _after(_ALIGNMENT, ids.nbytes)
    vectors = np.memmap(path, np.float32, "r", begin, (head.rows, head.dimension))
    return head, np.asarray(ids), np.asarray(vectors)


def _write(path: Path, head: _Head, ids: NDArray[np.int64], vectors: Vector, keys: Keys) -> None:
    partial = path.with_suffix(".vectors-new")
    with partial.open("wb") as file:
        file.write(msgspec.json.encode(head) + b"\n")
        file.seek(_ALIGNMENT)
        ids.tofile(file)
        begin = _after(_ALIGNMENT, ids.nbytes)
        file.seek(begin)
        vectors.tofile(file)
        file.seek(_after(begin, vectors.nbytes))
        keys.tofile(file)
    _settle(partial)
    partial.replace(path)


def _settle(path: Path) -> None:
    """Wait until the disk has a file, so that its new name never stands for half of it."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
