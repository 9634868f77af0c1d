"""The contract of rows: what a source of rows tells the table that is kept in step with it.

It is `ponant.live.sources.port` again, for rows: a source yields batches, each is stored in one
transaction with its cursor, and the next is asked for only then. A row is known by its key, the
values of the columns that the source's ``key`` names; a row without one is refused.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

Cursor = dict[str, Any]
"""Where a source goes on; plain JSON that only its kind understands."""

Row = Mapping[str, Any]
"""A row by its columns' names; a column that is missing is NULL.

Values are None, bool, int, float, str, bytes, Decimal, date, time and datetime (one without a time
zone is taken as UTC); lists and objects of these are kept as JSON.
"""

Key = tuple[Any, ...]
"""The values of a row's key columns, in the order of the source's ``key``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBatch:
    """What changed: the net effect on each key, which stands in one of the two.

    Attributes:
        upserts: rows as they are now, whole; of two with one key the later counts.
        deletes: keys of rows that are there no longer; one that never was is no fault.
        cursor: where the source goes on once this batch is stored; None leaves the last one.
        complete: the upserts are all there is, so that every other row is gone.
        remark: a sentence to show beside the state, such as what was left out and why.
    """

    upserts: Sequence[Row] = ()
    deletes: Sequence[Key] = ()
    cursor: Cursor | None = None
    complete: bool = False
    remark: str = ""


class RowSource(Protocol):
    """One place that rows come from, such as a database's table or a topic.

    Attributes:
        key: names of the columns that a row is known by.
        interval: seconds between two looks where it is polled; None where it is told of changes.
    """

    key: tuple[str, ...]
    interval: float | None

    def batches(self, cursor: Cursor | None) -> AsyncGenerator[RowBatch]:
        """Yield for as long as it is followed; the waiting between two looks is done in here.

        Args:
            cursor: the last that was stored, or None at the first time.

        Raises:
            ponant.live.sources.port.SourceFault: it cannot be reached or read; what follows it
                shows that and tries again.
        """
        ...


class Column(msgspec.Struct, frozen=True):
    """A column by name and DuckDB's name of its type."""

    name: str
    type: str


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Something that SQL may ask.

    Attributes:
        kind: a table that a source fills, a view, a window, or a standing query's last result.
        key: the columns that a row is known by; empty where there are none.
        late: rows that came after their window was closed, and are not in it.
        sql: what a view or a standing query asks.
    """

    name: str
    kind: Literal["table", "view", "window", "query"]
    columns: tuple[Column, ...]
    rows: int | None = None
    key: tuple[str, ...] = ()
    version: int = 0
    updated_at: datetime | None = None
    late: int = 0
    sql: str = ""
    message: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that answer a query, all of one version of the workspace's tables.

    Attributes:
        tables: names of all that they were made from, through views and windows too.
    """

    columns: tuple[Column, ...]
    rows: list[list[Any]]
    truncated: bool
    version: int
    as_of: datetime
    tables: tuple[str, ...] = ()


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch did: the version that shows it and the rows that could not be stored."""

    version: int
    rows: int
    late: int = 0


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """How a standing query's result changed; each row is an object by column.

    Attributes:
        seq: counts up over a workspace's standing queries.
        changed: the row before and after, where the query's key says which row is which.
    """

    seq: int
    workspace_id: str
    query: str
    version: int
    as_of: datetime
    added: tuple[dict[str, Any], ...]
    removed: tuple[dict[str, Any], ...]
    changed: tuple[tuple[dict[str, Any], dict[str, Any]], ...]
    truncated: bool = False


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Tumbling windows over a table's rows, kept as a table with a column ``window_start``.

    A window is closed once a row ``lateness`` seconds past its end was stored. Rows that come
    later are counted, and stand in the table but not in the window.

    Attributes:
        time: the column with each row's time.
        every: the windows' length in seconds.
        by: columns that split a window.
        columns: what to compute by name, such as ``{"clicks": "count(*)"}``.
    """

    name: str
    table: str
    time: str
    every: float
    lateness: float
    columns: dict[str, str]
    by: tuple[str, ...] = ()
