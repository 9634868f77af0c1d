"""The contract of rows: what a source of rows tells the table that is kept in step with it.

It is `ponant.live.sources.port` again, for rows: a source yields batches, each is stored in one
transaction with its cursor, and the next is asked for only then. A row is known by its key, the
values of the columns that the source's ``key`` names; a row without one is refused.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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
