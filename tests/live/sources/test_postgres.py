"""PostgreSQL tables: Debian's server on the loopback, by its log and by looking."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing

import msgspec
import psycopg
import pytest

from ponant.kit.network import Network
from ponant.live.relations.port import RowBatch
from ponant.live.sources.port import SourceFault
from ponant.live.sources.postgres import PostgresSource
from ponant.live.sources.postgres_database import Place, PostgresConfig
from ponant.live.sources.postgres_rows import PostgresRows, rows_source
from tests.live.sources.following import Shelf, eventually
from tests.patience import PATIENCE
from tests.servers import postgres

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize("mode", ["replication", "poll"])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Postgres]:
    with postgres.running() as running:
        yield running


def _place(server: postgres.Postgres, table: str, **options: object) -> Place:
    config = {
        "host": server.host,
        "port": server.port,
        "database": server.database,
        "user": server.user,
        "table": table,
        "interval": 0.05,
    }
    password = str(options.pop("password", server.password))
    name = str(options.pop("name", f"source of {table}"))
    parsed = msgspec.convert(config | options, PostgresConfig)
    return Place(parsed, password, name, Network(everything=True))


def _source(server: postgres.Postgres, table: str, **options: object) -> PostgresSource:
    return PostgresSource(_place(server, table, text=("body",), **options))


@MODES
async def test_a_row_is_a_document_for_as_long_as_it_is_there(
    server: postgres.Postgres, mode: str
) -> None:
    table = f"news_{mode}"
    server.run(
        f"create table {table} (id int primary key, title text, body text, rank numeric, "
        "readers text[])",
        f"insert into {table} values (1, 'Ebb', 'The tide is out.', 3, '{{sales,a@b.c}}'), "
        "(2, null, 'The harbour is closed.', null, null)",
    )
    shape = {"title": "title", "metadata": ("rank",), "access": ("readers",)}
    source, shelf = _source(server, table, mode=mode, **shape), Shelf()
    first = {"1": "# Ebb\n\nThe tide is out.", "2": "The harbour is closed."}
    await shelf.follow(source, until=first)
    assert shelf.found["1"].name == "Ebb"
    assert shelf.found["1"].metadata == {"rank": 3}
    assert shelf.found["1"].access == ("email:a@b.c", "group:sales")
    assert shelf.found["2"].access == ()
    following = asyncio.create_task(
        shelf.follow(source, until={"1": "# Ebb\n\nThe tide is in.", "4": "A new boat."})
    )
    server.run(
        f"update {table} set body = 'The tide is in.' where id = 1",
        f"update {table} set id = 3 where id = 2",
        f"delete from {table} where id = 3",
        f"insert into {table} values (4, null, 'A new boat.')",
    )
    await following
    await source.forget()


@MODES
async def test_it_goes_on_after_what_was_stored_and_reads_nothing_twice(
    server: postgres.Postgres, mode: str
) -> None:
    table = f"resumed_{mode}"
    server.run(
        f"create table {table} (id int primary key, body text)",
        f"insert into {table} select n, 'old ' || n from generate_series(1, 20) n",
    )
    shelf = Shelf()
    old = {str(n): f"old {n}" for n in range(1, 21)}
    await shelf.follow(_source(server, table, mode=mode), until=old)
    assert len(shelf.reads) == 20
    server.run(
        f"update {table} set body = 'new ' || id where id <= 10",
        f"delete from {table} where id > 15",
    )
    new = {str(n): f"new {n}" if n <= 10 else f"old {n}" for n in range(1, 16)}
    for _ in range(50):  # every following dies after its third change
        if shelf.texts == new:
            break
        await shelf.follow(_source(server, table, mode=mode), until=new, stop=3)
    await shelf.follow(_source(server, table, mode=mode), until=new)
    assert len(shelf.reads) == 30
    await _source(server, table, mode=mode).forget()


async def test_no_row_goes_back_to_an_older_state(server: postgres.Postgres) -> None:
    server.run(
        "create table counted (id int primary key, body text)",
        "insert into counted values (1, '0'), (2, '0')",
    )
    shelf = Shelf()
    await shelf.follow(_source(server, "counted"), until={"1": "0", "2": "0"})
    with server.connect() as connection:
        for number in range(1, 31):
            with connection.transaction():
                connection.execute("update counted set body = %s where id = 1", (str(number),))
                connection.execute("update counted set body = %s where id = 2", (str(number),))
    end, seen = {"1": "30", "2": "30"}, [0]
    for _ in range(80):
        await shelf.follow(_source(server, "counted", batch=3), until=end, stop=1)
        seen.append(int(shelf.texts["1"]))
        if shelf.texts == end:
            break
    assert seen == sorted(seen)
    assert shelf.texts == end
    await _source(server, "counted").forget()


async def test_long_values_that_an_update_left_alone_stay(server: postgres.Postgres) -> None:
    server.run(
        "create table long (id int primary key, title text, body text)",
        "alter table long alter column body set storage external",
        "insert into long values (1, 'a', repeat('word ', 2000))",
    )
    shelf, text = Shelf(), ("word " * 2000).strip()
    await shelf.follow(_source(server, "long", title="title"), until={"1": f"# a\n\n{text}"})
    server.run("update long set title = 'b'")
    await shelf.follow(_source(server, "long", title="title"), until={"1": f"# b\n\n{text}"})
    await _source(server, "long").forget()


async def test_an_emptied_and_an_altered_table_are_followed(server: postgres.Postgres) -> None:
    server.run(
        "create table altered (id int primary key, body text)",
        "insert into altered values (1, 'one')",
    )
    place = _place(server, "altered")
    source, shelf = PostgresSource(place), Shelf()
    await shelf.follow(source, until={"1": "id: 1\n\nbody: one"})
    server.run(
        "truncate altered",
        "alter table altered add column more int",
        "insert into altered values (2, 'two', 7)",
    )
    await shelf.follow(source, until={"2": "id: 2\n\nbody: two\n\nmore: 7"})
    await source.forget()


async def test_a_lost_slot_has_the_table_read_anew(server: postgres.Postgres) -> None:
    server.run(
        "create table slotless (id int primary key, body text)",
        "insert into slotless values (1, 'one'), (2, 'two')",
    )
    shelf = Shelf()
    await shelf.follow(_source(server, "slotless"), until={"1": "one", "2": "two"})
    await _source(server, "slotless").forget()
    server.run("delete from slotless where id = 1", "insert into slotless values (3, 'three')")
    await shelf.follow(_source(server, "slotless"), until={"2": "two", "3": "three"})
    assert shelf.reads == ["1", "2", "3"]
    assert "read anew" in shelf.remark
    await _source(server, "slotless").forget()


async def test_a_crashed_server_is_told_and_gone_on_with(server: postgres.Postgres) -> None:
    server.run(
        "create table crashed (id int primary key, body text)",
        "insert into crashed values (1, 'one')",
    )
    shelf = Shelf()
    await shelf.follow(_source(server, "crashed"), until={"1": "one"})
    following = asyncio.create_task(shelf.follow(_source(server, "crashed"), until={}))
    await asyncio.sleep(0.3)
    server.stop()
    with pytest.raises(SourceFault, match=r"cannot be read.*Check the address"):
        await following
    with pytest.raises(SourceFault, match="Check the address"):
        await shelf.follow(_source(server, "crashed"))
    server.start()
    server.run("insert into crashed values (2, 'two')")
    await shelf.follow(_source(server, "crashed"), until={"1": "one", "2": "two"})
    assert shelf.reads == ["1", "2"]
    await _source(server, "crashed").forget()


async def test_a_confirmed_log_is_let_go_of(server: postgres.Postgres) -> None:
    server.run("create table let_go (id int primary key, body text)")
    source, shelf = _source(server, "let_go"), Shelf()
    await shelf.follow(source)
    server.run("insert into let_go values (1, 'one')")
    await shelf.follow(source, until={"1": "one"})
    stored = shelf.cursor
    assert stored is not None
    server.run("insert into let_go values (2, 'two')")
    await shelf.follow(source, until={"1": "one", "2": "two"})
    confirmed = "select 1 from pg_replication_slots where slot_name = %s and {} >= %s::pg_lsn"
    slot = _place(server, "let_go").slot
    with server.connect() as connection:
        told = confirmed.format("confirmed_flush_lsn")
        await eventually(lambda: _has(connection, told, slot, stored["lsn"]))
        await source.forget()
        assert not _has(connection, "select 1 from pg_replication_slots where slot_name = %s", slot)


def _has(connection: psycopg.Connection[object], query: str, *parameters: object) -> bool:
    return connection.execute(query.encode(), parameters).fetchone() is not None


@MODES
async def test_what_keeps_it_from_reading_comes_with_its_mend(
    server: postgres.Postgres, mode: str
) -> None:
    table = f"refused_{mode}"
    server.run(
        f"create table {table} (body text)",
        f"create role reader_{mode} login password '{server.password}'",
        f"create table keyed_{mode} (id int primary key, body text)",
    )
    cases = {
        "Set the source's password anew": {"table": table, "password": "wrong"},
        "has no primary key.*Add one": {"table": table},
        "There is no table public.never": {"table": "public.never"},
        "has no column headline": {"table": f"keyed_{mode}", "title": "headline"},
        r"GRANT SELECT|may not replicate. Run: ALTER ROLE": {
            "table": f"keyed_{mode}",
            "user": f"reader_{mode}",
        },
    }
    for mend, options in cases.items():
        with pytest.raises(SourceFault, match=mend):
            await Shelf().follow(_source(server, **options, mode=mode))


async def test_a_view_is_polled_and_a_row_without_a_key_is_named(
    server: postgres.Postgres,
) -> None:
    server.run(
        "create table base (id int, body text)",
        "insert into base values (1, 'one'), (null, 'nobody')",
        "create view seen as select * from base",
    )
    source, shelf = _source(server, "seen", mode="poll", key=("id",)), Shelf()
    await shelf.follow(source, until={"1": "one"})
    assert "1 rows without a key were left out. Fill" in shelf.remark
    following = asyncio.create_task(shelf.follow(source, until={"1": "uno"}))
    server.run("update base set body = 'uno' where id = 1")
    await following


async def test_who_may_only_read_is_polled(server: postgres.Postgres) -> None:
    server.run(
        "create table looked_at (id int primary key, body text)",
        "insert into looked_at values (1, 'one'), (2, 'two')",
        f"create role onlooker login password '{server.password}'",
        "alter role onlooker set default_transaction_read_only = on",
        "grant select on looked_at to onlooker",
    )
    with pytest.raises(SourceFault, match='set mode to "poll"'):
        await Shelf().follow(_source(server, "looked_at", user="onlooker"))
    source, shelf = _source(server, "looked_at", user="onlooker", mode="poll"), Shelf()
    await shelf.follow(source, until={"1": "one", "2": "two"})
    following = asyncio.create_task(shelf.follow(source, until={"1": "uno", "3": "three"}))
    server.run(
        "update looked_at set body = 'uno' where id = 1",
        "delete from looked_at where id = 2",
        "insert into looked_at values (3, 'three')",
    )
    await following


async def test_a_publication_and_a_slot_may_be_given(server: postgres.Postgres) -> None:
    server.run(
        "create table given (id int primary key, body text)",
        f"create role follower login replication password '{server.password}'",
        "grant select on given to follower",
    )
    with pytest.raises(SourceFault, match="CREATE PUBLICATION ponant FOR TABLE"):
        await Shelf().follow(_source(server, "given", user="follower"))
    server.run(
        "create publication ponant for table given",
        "select pg_create_logical_replication_slot('made', 'pgoutput')",
        "insert into given values (1, 'one'), (2, 'two')",
        "delete from given where id = 2",
    )
    shelf = Shelf()
    given = {"user": "follower", "publication": "ponant", "slot": "made"}
    await shelf.follow(_source(server, "given", **given), until={"1": "one"})
    server.run("update given set body = 'uno'")
    await shelf.follow(_source(server, "given", **given), until={"1": "uno"})
    await eventually(lambda: not server.is_busy("made"))
    server.run("select pg_drop_replication_slot('made')")


@MODES
async def test_rows_become_rows(server: postgres.Postgres, mode: str) -> None:
    table = f"rows_{mode}"
    server.run(
        f"create table {table} (id bigint primary key, at timestamptz, sum numeric, more jsonb)",
        f"""insert into {table} values (1, '2026-01-01', 1.5, '{{"a": [1]}}'),
        (2, null, null, null)""",
    )
    source = await rows_source(_place(server, table, mode=mode))
    rows: dict[object, dict[str, object]] = {}
    following = asyncio.create_task(_keep(source, rows, until={1, 3}))
    await eventually(lambda: set(rows) == {1, 2})
    assert str(rows[1]["sum"]) == "1.5"
    assert rows[1]["more"] == {"a": [1]}
    server.run(f"delete from {table} where id = 2", f"insert into {table} values (3, 'infinity')")
    await following
    assert rows[3]["at"] == "infinity"
    await source.forget()


async def _keep(
    source: PostgresRows, rows: dict[object, dict[str, object]], until: set[object]
) -> None:
    async with asyncio.timeout(PATIENCE), aclosing(source.batches(None)) as batches:
        async for batch in batches:
            _store(batch, rows)
            if set(rows) == until:
                return


def _store(batch: RowBatch, rows: dict[object, dict[str, object]]) -> None:
    if batch.complete:
        rows.clear()
    for key in batch.deletes:
        rows.pop(key[0], None)
    for row in batch.upserts:
        rows[row["id"]] = dict(row)
