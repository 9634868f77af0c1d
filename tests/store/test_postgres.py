"""What holds of files holds of a PostgreSQL database: one state, one writer, plain errors."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ponant.kit.errors import SetupError, Unavailable
from ponant.store import Database
from tests.databases import address
from tests.patience import PATIENCE
from tests.servers import postgres


@pytest.fixture
def server() -> Iterator[Database]:
    database = Database(postgres.shared().fresh())
    with database.write() as session:
        session.execute(text("CREATE TABLE numbers (number BIGINT PRIMARY KEY, name TEXT)"))
    yield database
    database.close()


def add(database: Database, number: int) -> None:
    with database.write() as session:
        session.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})


def test_a_read_sees_one_state_and_cannot_write(server: Database) -> None:
    with server.read() as session:
        count = text("SELECT count(*) FROM numbers")
        assert session.scalar(count) == 0
        add(server, 1)
        assert session.scalar(count) == 0
        with pytest.raises(DBAPIError, match="read-only"):
            session.execute(text("INSERT INTO numbers VALUES (2)"))
    with server.read() as session:
        assert session.scalar(count) == 1


def test_a_write_that_reads_first_is_not_overtaken(server: Database) -> None:
    begun, counts = threading.Event(), []

    def count_and_add() -> None:
        begun.set()
        other = Database(address(server))
        with other.write() as session:
            counts.append(session.scalar(text("SELECT count(*) FROM numbers")))
        other.close()

    thread = threading.Thread(target=count_and_add)
    with server.write() as session:
        assert session.scalar(text("SELECT count(*) FROM numbers")) == 0
        thread.start()
        assert begun.wait(PATIENCE)
        session.execute(text("INSERT INTO numbers VALUES (1)"))
    thread.join(PATIENCE)
    assert counts == [1]


def test_writes_of_another_schema_do_not_wait(server: Database) -> None:
    other = Database(address(server), "live")
    with server.write() as session, other.write() as beside:
        session.execute(text("INSERT INTO numbers VALUES (1)"))
        beside.execute(text("INSERT INTO numbers VALUES (2)"))
    other.close()


def test_the_tables_of_both_may_stand_in_one_database(server: Database) -> None:
    live = Database(address(server), "live")
    for _ in range(2):
        server.migrate("ponant")
        live.migrate("live")
    live.close()


def test_signs_that_text_cannot_hold_are_replaced(server: Database) -> None:
    with server.write() as session:
        session.execute(text("INSERT INTO numbers VALUES (1, :name)"), {"name": "a\x00b"})
        assert session.scalar(text("SELECT name FROM numbers")) == "a\ufffdb"


def test_a_server_that_does_not_answer_is_told_in_a_sentence() -> None:
    with postgres.running() as server:
        database = Database(server.fresh())
        add_table = text("CREATE TABLE numbers (number BIGINT)")
        with database.write() as session:
            session.execute(add_table)
        server.stop()
        with pytest.raises(Unavailable, match="does not answer"):
            add(database, 1)
        with pytest.raises(SetupError, match="cannot be used"):
            database.migrate("ponant")
        server.start()
        add(database, 2)
        database.close()


@pytest.mark.parametrize(
    "url", ["mysql://a/b", "postgresql+psycopg2://a/b", "postgresql://a:b:c/d"]
)
def test_an_address_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(SetupError, match="postgresql://"):
        Database(url)


def test_a_password_stays_out_of_errors() -> None:
    database = Database("postgresql://owner:secret-4711@127.0.0.1:1/none")
    with pytest.raises(SetupError) as refused:
        database.migrate("ponant")
    assert "4711" not in str(refused.value)
    database.close()
