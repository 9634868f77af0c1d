"""Rows that are only ever added, one small group after another, by the shortest way.

The ledger adds a row for every answer, which waits for it. On SQLite the driver is asked directly:
SQLAlchemy's way takes four times as long.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table, insert
from sqlalchemy.exc import IntegrityError, OperationalError

from ponant.store.database import Database, begin, plain_errors, unwaiting

Row = Mapping[str, Any]


class Appender:
    """Adds rows to one table, as in a ``write(soon=True)`` of its own.

    Args:
        database: where the table is.
        table: whose columns each row names, all of them.
    """

    def __init__(self, database: Database, table: Table) -> None:
        self._database = database
        self._insert = insert(table)
        dialect = database.engine.dialect
        self._statement = str(self._insert.compile(dialect=dialect))
        self._own: sqlite3.Connection | None = None
        self._writers: dict[str, Callable[[Any], Any]] = {}
        for column in table.columns:
            write = column.type.dialect_impl(dialect).bind_processor(dialect)
            if write is not None:
                self._writers[column.name] = write

    def add(self, rows: Sequence[Row], when: Callable[[], bool]) -> bool:
        """Add all of the rows, or none; whether they were added.

        Args:
            when: asked when nobody else can write any more; nothing is added where it says no.

        Raises:
            IntegrityError: the table has one of them already, or does not take it.
            StorageFull: the disk is full.
            Unavailable: another process kept the database locked, or the server does not answer.
        """
        if self._database.is_server:
            with self._database.write(soon=True) as session:
                added = when()
                if added:
                    session.execute(self._insert, rows)
            return added
        with plain_errors():
            try:
                added = self._add_to_file([self._written(row) for row in rows], when)
            except sqlite3.IntegrityError as e:
                raise IntegrityError(self._statement, None, e, hide_parameters=True) from e
            except sqlite3.OperationalError as e:
                raise OperationalError(self._statement, None, e, hide_parameters=True) from e
        self._database.unmerged += added
        return added

    def add_at_once(self, row: Row, when: Callable[[], bool]) -> bool:
        """Add a row as `add` does, unless that takes longer than a few writes to memory.

        False, and nothing is added, where another writes to the file, where it is a server's, or
        where anything else stands against it, which `add` will tell. Called by one thread alone.
        """
        file = self._database.engine.url.database
        if self._database.is_server or not file:
            return False
        if self._own is None:
            self._own = unwaiting(file)
        added = False
        try:
            self._own.execute("BEGIN IMMEDIATE")
            try:
                if when():
                    self._own.execute(self._statement, self._written(row))
                    added = True
            finally:
                self._own.execute("COMMIT" if added else "ROLLBACK")
        except sqlite3.Error:
            if self._own.in_transaction:
                self._own.rollback()
            return False
        self._database.unmerged += added
        return added

    def close(self) -> None:
        """Give back what `add_at_once` holds."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def _add_to_file(self, rows: Sequence[Row], when: Callable[[], bool]) -> bool:
        raw = self._database.engine.raw_connection()
        try:
            cursor = raw.cursor()
            begin(cursor, "soon")
            added = when()
            if added:
                cursor.executemany(self._statement, rows)
                cursor.execute("COMMIT")
        finally:
            raw.close()  # takes back what was not committed
        return added

    def _written(self, row: Row) -> Row:
        """The row as the file holds it."""
        made = {name: write(row[name]) for name, write in self._writers.items()}
        return {**row, **made}
