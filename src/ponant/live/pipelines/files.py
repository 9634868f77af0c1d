"""CSV and Parquet files as rows: read when they change, told as what changed in them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
from watchfiles import awatch

from ponant.live.pipelines.items import row_key
from ponant.live.relations.port import Cursor, RowBatch
from ponant.live.sources.port import SourceFault

_AT_ONCE = 20_000  # rows in a batch
_RESCAN_SECONDS = 5.0
_READERS = {"csv": "read_csv", "parquet": "read_parquet"}


class FileRows:
    """The rows of one file.

    Args:
        kind: ``csv`` or ``parquet``.
        options: of DuckDB's reader.
        keys: those that are stored, asked for after the first whole read.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        key: tuple[str, ...],
        options: Mapping[str, Any],
        keys: Callable[[], Awaitable[list[list[Any]]]],
    ) -> None:
        self.key = key
        self.interval: float | None = None
        self._path = path
        self._kind = kind
        self._options = options
        self._keys = keys
        self._last: dict[str, int] | None = None  # a hash of each row, by its key

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[RowBatch]:
        """Yield what is new in the file; nothing while it is as it was when last stored."""
        seen = (cursor or {}).get("signature", "")
        while True:
            signature = await asyncio.to_thread(self._signature)
            if signature != seen:
                async for batch in self._read(signature):
                    yield batch
                seen = signature
                continue
            await self._wait()

    async def _read(self, signature: str) -> AsyncGenerator[RowBatch]:
        now: dict[str, int] = {}
        last = self._last
        fresh: list[dict[str, Any]] = []
        async for rows in self._rows():
            if len(fresh) >= _AT_ONCE:
                yield RowBatch(upserts=fresh)
                fresh = []
            for row in rows:
                name = row_key(row, self.key)
                hashed = hash(repr(row))
                if not name or last is None or last.get(name) != hashed:
                    fresh.append(row)
                now[name] = hashed
        self._last = now
        gone = [
            tuple(values)
            for values in await self._keys()
            if row_key(dict(zip(self.key, values, strict=True)), self.key) not in now
        ]
        # Together, so that nobody sees an edit's new rows beside its old ones.
        yield RowBatch(upserts=fresh, deletes=gone, cursor={"signature": signature})

    async def _rows(self) -> AsyncGenerator[list[dict[str, Any]]]:
        connection = duckdb.connect(config={"threads": 1})
        try:
            await asyncio.to_thread(self._select, connection)
            names = [column[0] for column in connection.description or []]
            while values := await asyncio.to_thread(connection.fetchmany, _AT_ONCE):
                yield [dict(zip(names, one, strict=True)) for one in values]
        except duckdb.Error as e:
            reason = str(e).strip().split("\n", 1)[0]
            raise SourceFault(f"{self._path} cannot be read: {reason}") from e
        finally:
            connection.close()

    def _select(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("SET TimeZone = 'UTC'")
        options = "".join(f", {name} = ${name}" for name in self._options)
        if not all(name.isidentifier() for name in self._options):
            raise SourceFault(f"The options of {self._path.name} are no names.")
        connection.execute(
            f"SELECT * FROM {_READERS[self._kind]}($path_{options})".replace("$path_", "$path__"),  # noqa: S608 - names were checked
            {"path__": str(self._path), **self._options},
        )

    def _signature(self) -> str:
        try:
            status = self._path.stat()
        except OSError as e:
            raise SourceFault(
                f"The file {self._path} cannot be read: {e.strerror}. What it held last stays."
            ) from e
        return f"{status.st_mtime_ns}:{status.st_size}:{status.st_ino}"

    async def _wait(self) -> None:
        """Until an event tells of the file, or a while passed."""
        name = self._path.name
        try:
            async with asyncio.timeout(_RESCAN_SECONDS):
                async for events in awatch(
                    self._path.parent, step=10, debounce=50, rust_timeout=1000, recursive=False
                ):
                    if any(Path(path).name == name for _, path in events):
                        return
        except (TimeoutError, FileNotFoundError, RuntimeError):
            return
