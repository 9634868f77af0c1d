"""Transactions, full disks, sudden ends, and several processes at once."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, OperationalError

from ponant.kit.errors import SetupError, StorageFull
from ponant.store import Database

_WRITER = """
import sys
from pathlib import Path
from sqlalchemy import text
from ponant.store import Database

database = Database.at(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 1_000_000_000):
    with database.write() as session:
        session.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""

_MIGRATOR = """
import sys
from pathlib import Path
from ponant.store import Database

sys.stdin.read()
Database.at(Path(sys.argv[1])).migrate("ponant")
"""


@pytest.fixture
def numbers(memory: Database) -> Database:
    with memory.write() as session:
        session.execute(text("CREATE TABLE numbers (number INTEGER PRIMARY KEY)"))
    return memory


def stored(database: Database) -> list[int]:
    with database.read() as session:
        return list(session.scalars(text("SELECT number FROM numbers ORDER BY number")))


def add(database: Database, number: int) -> None:
    with database.write() as session:
        session.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})


def _write_and_fail(database: Database) -> None:
    with database.write() as session:
        session.execute(text("INSERT INTO numbers VALUES (2)"))
        raise ZeroDivisionError


def _write_much(database: Database) -> None:
    with database.write() as session:
        session.execute(text("INSERT INTO numbers VALUES (2)"))
        session.execute(text("CREATE TABLE large (content TEXT)"))
        session.execute(text("INSERT INTO large VALUES (hex(randomblob(1000000)))"))


def test_every_connection_waits_for_the_disk_and_minds_foreign_keys(memory: Database) -> None:
    with memory.read() as one, memory.read() as other:
        for session in (one, other):
            assert session.scalar(text("PRAGMA synchronous")) == 2
            assert session.scalar(text("PRAGMA journal_mode")) == "wal"
            assert session.scalar(text("PRAGMA foreign_keys")) == 1


def test_a_write_that_settles_later_leaves_the_next_one_as_it_was(numbers: Database) -> None:
    with numbers.write(soon=True) as session:
        session.execute(text("INSERT INTO numbers VALUES (7)"))
        assert session.scalar(text("PRAGMA synchronous")) == 1
    numbers.settle()
    with numbers.write() as session:
        assert session.scalar(text("PRAGMA synchronous")) == 2
        assert session.scalar(text("SELECT max(number) FROM numbers")) == 7


def test_a_write_that_settles_later_leaves_the_merging_to_who_settles(numbers: Database) -> None:
    file = Path(numbers.engine.url.database or "")
    with numbers.write() as session:
        session.execute(text("CREATE TABLE large (content BLOB)"))
    before = file.stat().st_size
    for _ in range(300):
        with numbers.write(soon=True) as session:
            session.execute(text("INSERT INTO large VALUES (randomblob(20000))"))
    assert file.stat().st_size == before
    numbers.settle()
    assert file.stat().st_size > before


def test_a_log_that_nobody_gets_to_the_end_of_stays_small(numbers: Database) -> None:
    log = Path(f"{numbers.engine.url.database}-wal")
    with numbers.write() as session:
        session.execute(text("CREATE TABLE large (content BLOB)"))
    for _ in range(250):
        with numbers.write(soon=True) as session:
            session.execute(text("INSERT INTO large VALUES (randomblob(400000))"))
    assert log.stat().st_size < 50_000_000  # of the 100 MB that were written


def test_a_write_commits_at_its_end_and_rolls_back_when_it_raises(numbers: Database) -> None:
    add(numbers, 1)
    with pytest.raises(IntegrityError), numbers.write() as session:
        session.execute(text("INSERT INTO numbers VALUES (2), (1)"))
    with pytest.raises(ZeroDivisionError):
        _write_and_fail(numbers)
    assert stored(numbers) == [1]


def test_a_write_that_reads_first_is_not_overtaken(numbers: Database) -> None:
    add(numbers, 1)
    other = sqlite3.connect(numbers.engine.url.database or "", timeout=0)
    with numbers.write() as session:
        session.execute(text("SELECT count(*) FROM numbers")).one()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("INSERT INTO numbers VALUES (2)")
        session.execute(text("INSERT INTO numbers VALUES (3)"))
    other.close()
    assert stored(numbers) == [1, 3]


def test_a_read_sees_one_state_and_cannot_write(numbers: Database) -> None:
    with numbers.read() as session:
        count = text("SELECT count(*) FROM numbers")
        assert session.scalar(count) == 0
        add(numbers, 1)
        assert session.scalar(count) == 0
        with pytest.raises(OperationalError, match="readonly"):
            session.execute(text("INSERT INTO numbers VALUES (2)"))
    add(numbers, 3)
    assert stored(numbers) == [1, 3]


def test_a_full_disk_stores_nothing_of_the_block_and_loses_nothing(numbers: Database) -> None:
    add(numbers, 1)

    @event.listens_for(numbers.engine, "begin")
    def fill(connection: Any) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    with pytest.raises(StorageFull, match="Free some space"):
        _write_much(numbers)
    assert stored(numbers) == [1]
    event.remove(numbers.engine, "begin", fill)


def test_what_was_acknowledged_survives_a_kill(numbers: Database) -> None:
    path = numbers.engine.url.database or ""
    acknowledged: list[int] = []
    chance = random.Random(2)
    for _ in range(3):
        start = max(stored(numbers), default=0) + 1
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, path, str(start)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            acknowledged.append(int(writer.stdout.readline()))
            time.sleep(chance.uniform(0, 0.2))
            writer.send_signal(signal.SIGKILL)
            acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
    assert set(acknowledged) <= set(stored(numbers))
    assert len(acknowledged) > 3


def test_processes_that_start_together_migrate_in_turn(tmp_path: Path) -> None:
    path = tmp_path / "home" / "ponant.db"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _MIGRATOR, str(path)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    time.sleep(1)  # so that all of them wait at the same line
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    for process in processes:
        assert process.stderr is not None
        complaint = process.stderr.read().decode()
        process.stderr.close()
        assert process.wait(60) == 0, complaint


def test_a_file_that_is_no_database_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ponant.db"
    path.write_bytes(b"this is a text, and longer than a header of SQLite is" * 40)
    database = Database.at(path)
    with pytest.raises(SetupError, match=r"ponant\.db cannot be used"):
        database.migrate("ponant")
    database.close()
    assert path.read_bytes().startswith(b"this is a text")


def test_a_database_of_a_newer_version_is_refused_with_a_sentence(memory: Database) -> None:
    memory.migrate("ponant")
    with memory.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999_future'"))
    with pytest.raises(SetupError, match="another version of Ponant"):
        memory.migrate("ponant")


def test_an_error_keeps_the_values_of_its_statement_to_itself(tmp_path: Path) -> None:
    database = Database.at(tmp_path / "quiet.db")
    with pytest.raises(OperationalError) as failed, database.read() as session:
        session.execute(text("SELECT * FROM missing WHERE key = :key"), {"key": "pnt_4711"})
    assert "4711" not in str(failed.value)


def test_reads_do_not_compile_their_statements_again(numbers: Database) -> None:
    compiled: list[int] = []

    def authorize(action: int, *_: object) -> int:
        if action == sqlite3.SQLITE_SELECT:  # told of once, when a statement is compiled
            compiled.append(action)
        return sqlite3.SQLITE_OK

    with numbers.read() as session:
        driver: Any = session.connection().connection.dbapi_connection
        driver.set_authorizer(authorize)
    for number in range(3):
        assert stored(numbers) == list(range(number))
        add(numbers, number)
    assert len(compiled) == 1
