"""Mailboxes, tables and topics as sources of a library, from the server to the search."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from ponant.kit.errors import Forbidden
from ponant.live.knowledge import Knowledge
from ponant.live.port import Source
from ponant.store import Scope
from tests.live.conftest import SCOPE, Installation
from tests.patience import tries
from tests.servers import dovecot, kafka, postgres

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def _library(
    installation: Installation, kind: str, config: dict[str, Any], password: str = ""
) -> AsyncIterator[tuple[Knowledge, str]]:
    """A library with one source, kept over restarts."""
    async with installation.running() as knowledge:
        libraries = await knowledge.list_libraries(SCOPE)
        if libraries:
            yield knowledge, libraries[0].id
            return
        library = await knowledge.create_library(SCOPE, "Streams")
        secrets = {"password": password} if password else {}
        await knowledge.add_source(SCOPE, library.id, kind, config, secrets=secrets, trusted=True)
        yield knowledge, library.id


async def _source(knowledge: Knowledge, library_id: str) -> Source:
    (source,) = await knowledge.list_sources(SCOPE, library_id)
    return source


async def _until(knowledge: Knowledge, library_id: str, holds: Callable[[Source], bool]) -> Source:
    for _ in tries():
        source = await _source(knowledge, library_id)
        if holds(source):
            return source
        await asyncio.sleep(0.02)
    raise AssertionError(source)


async def _found(knowledge: Knowledge, library_id: str, query: str, wanted: int) -> list[str]:
    """The documents that a word finds, once they are so many."""
    for _ in tries():
        hits = (await knowledge.search(SCOPE, [library_id], query, 10)).hits
        names = sorted({hit.document_name for hit in hits if query in hit.text})
        if len(names) == wanted:
            return names
        await asyncio.sleep(0.02)
    raise AssertionError(names)


def _in_step(documents: int) -> Callable[[Source], bool]:
    return lambda source: source.state == "in_step" and source.indexed == documents


async def test_a_table_answers_and_its_slot_goes_with_the_source(
    installation: Installation,
) -> None:
    with postgres.running() as server:
        server.run(
            "create table article (id int primary key, title text, body text)",
            "insert into article values (1, 'Tides', 'The ebb begins.'), (2, 'Boats', 'None.')",
        )
        config = {
            "host": server.host,
            "port": server.port,
            "database": server.database,
            "user": server.user,
            "table": "article",
            "title": "title",
            "text": ["body"],
        }
        async with _library(installation, "postgres", config, server.password) as (live, library):
            await _until(live, library, _in_step(2))
            assert await _found(live, library, "ebb", 1) == ["Tides"]
            server.run("update article set body = 'The flood begins.' where id = 1")
            assert await _found(live, library, "flood", 1) == ["Tides"]
            assert await _found(live, library, "ebb", 0) == []
        server.run(
            "delete from article where id = 2", "insert into article values (3, 'Nets', 'x')"
        )
        async with _library(installation, "postgres", config) as (live, library):
            await _until(live, library, _in_step(2))
            server.stop()
            source = await _until(live, library, lambda one: one.state == "error")
            assert "Check the address" in source.message
            assert server.password not in repr(source)
            assert await _found(live, library, "flood", 1) == ["Tides"]
            server.start()
            await _until(live, library, _in_step(2))
            server.run("truncate article")
            source = await _until(live, library, lambda one: one.state == "error")
            assert "holds no rows" in source.message
            await live.remove_source(SCOPE, library, source.id)
        with server.connect() as connection:
            slots = connection.execute("select count(*) from pg_replication_slots").fetchone()
            published = connection.execute("select count(*) from pg_publication").fetchone()
        assert (slots, published) == ((0,), (0,))


async def test_those_whom_a_table_names_find_its_rows(installation: Installation) -> None:
    server, crew = postgres.shared(), replace(SCOPE, marks=("group:crew",))
    server.run("create database readers")
    config = {
        "host": server.host,
        "port": server.port,
        "database": "readers",
        "user": server.user,
        "table": "log",
        "text": ["body"],
        "access": ["readers"],
        "mode": "poll",
        "interval": 0.1,
    }

    async def read(scope: Scope, *texts: str) -> None:
        for _ in tries():
            hits = (await live.search(scope, [library], "begins", 10)).hits
            if {hit.text for hit in hits} == set(texts):
                return
            await asyncio.sleep(0.02)
        raise AssertionError([hit.text for hit in hits])

    with server.connect("readers") as table:
        table.execute("create table log (id int primary key, body text, readers text[])")
        table.execute("insert into log values (1, 'Ebb begins.', '{crew}')")
        table.execute("insert into log values (2, 'Flood begins.', '{deck}')")
        async with _library(installation, "postgres", config, server.password) as (live, library):
            await _until(live, library, _in_step(2))
            await read(SCOPE)
            await read(crew, "Ebb begins.")
            table.execute("update log set readers = '{deck,crew}' where id = 2")
            await read(crew, "Ebb begins.", "Flood begins.")
            table.execute("update log set readers = '{deck}' where id = 1")
            await read(crew, "Flood begins.")
            await read(SCOPE)


async def test_a_mailbox_answers_with_its_attachments(installation: Installation) -> None:
    with dovecot.running() as server:
        server.deliver("Tides", "The ebb begins.")
        config = {"host": server.host, "port": server.port, "user": server.user, "ca": server.ca}
        async with _library(installation, "imap", config, server.password) as (live, library):
            await _until(live, library, _in_step(1))
            assert await _found(live, library, "ebb", 1) == ["Tides"]
            server.deliver_with_attachment("Boats", "See below.", "boats.txt", "A trimaran came.")
            assert await _found(live, library, "trimaran", 1) == ["Boats"]
            with server.client() as client:
                client.delete_messages([1])
            assert await _found(live, library, "ebb", 0) == []
            server.set_password("another")
        async with _library(installation, "imap", config) as (live, library):
            source = await _until(live, library, lambda one: one.state == "error")
            assert "Set the source's password anew" in source.message
            assert await _found(live, library, "trimaran", 1) == ["Boats"]


async def test_a_topic_answers_with_its_latest_messages(installation: Installation) -> None:
    with kafka.running() as broker:
        topic = broker.topic("articles")
        config = {"servers": broker.servers, "topic": topic, "security": "plaintext"}
        config |= {"title": "title", "text": ["body"]}
        async with _library(installation, "kafka", config) as (live, library):
            source = await _until(live, library, lambda one: one.state == "error")
            assert "holds no messages" in source.message
            broker.send(topic, "1", {"title": "Tides", "body": "The ebb begins."})
            broker.flush()
            assert await _found(live, library, "ebb", 1) == ["Tides"]
        broker.send(topic, "1", {"title": "Tides", "body": "The flood begins."})
        broker.send(topic, "2", b"{")
        broker.flush()
        async with _library(installation, "kafka", config) as (live, library):
            assert await _found(live, library, "flood", 1) == ["Tides"]
            source = await _until(live, library, lambda one: one.failed == 1)
            assert source.indexed == 1
            broker.send(topic, "1", None)
            broker.flush()
            assert await _found(live, library, "flood", 0) == []


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("imap", {"host": "127.0.0.1", "user": "a"}),
        ("imap", {"host": "mail.example", "user": "a", "ca": "/etc/passwd"}),
        ("kafka", {"servers": "broker.example:9092", "topic": "t"}),
        ("postgres", {"host": "127.0.0.1", "database": "d", "user": "u", "table": "t"}),
    ],
)
async def test_http_callers_reach_neither_this_machine_nor_its_network(
    installation: Installation, kind: str, config: dict[str, Any]
) -> None:
    async with installation.running() as knowledge:
        library = await knowledge.create_library(SCOPE, "Outside")
        with pytest.raises(Forbidden, match="ponant live add"):
            await knowledge.add_source(SCOPE, library.id, kind, config)
