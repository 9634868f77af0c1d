"""A table and a topic under constant change, and a process that is killed again and again."""

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ponant.kit.errors import NotFound
from ponant.live.knowledge import Knowledge
from tests.live.conftest import SCOPE, Installation
from tests.patience import tries
from tests.servers import kafka, postgres

pytestmark = pytest.mark.anyio

_KILLS = 4
_ROWS = 10


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Writer(threading.Thread):
    """Changes rows and messages until told to stop, and knows what they are then."""

    def __init__(self, server: postgres.Postgres, broker: kafka.Kafka, topic: str) -> None:
        super().__init__()
        self._server, self._broker, self._topic = server, broker, topic
        self._random = random.Random(7)
        self._ended = threading.Event()
        self.rows: dict[str, str] = {}
        self.messages: dict[str, str] = {}

    def run(self) -> None:
        with self._server.connect() as connection:
            number = 0
            while not self._ended.wait(0.03):
                number += 1
                key = str(self._random.randrange(_ROWS))
                if self._random.random() < 0.25:
                    connection.execute("delete from article where id = %s", (key,))
                    self._broker.send(self._topic, f"m{key}", None)
                    self.rows.pop(key, None)
                    self.messages.pop(f"m{key}", None)
                else:
                    connection.execute(
                        "insert into article values (%s, %s) "
                        "on conflict (id) do update set body = excluded.body",
                        (key, f"row {number}"),
                    )
                    self._broker.send(self._topic, f"m{key}", {"body": f"message {number}"})
                    self.rows[key] = f"row {number}"
                    self.messages[f"m{key}"] = f"message {number}"
        self._broker.flush()

    def stop(self) -> None:
        self._ended.set()
        self.join(10)


@contextmanager
def _following(home: Path, sources: list[dict[str, object]]) -> Iterator[subprocess.Popen[str]]:
    """The process, killed at the end of the block."""
    command = [sys.executable, "-m", "tests.live.sources.following_process"]
    process = subprocess.Popen(
        [*command, str(home), json.dumps(sources)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def _sources(server: postgres.Postgres, broker: kafka.Kafka, topic: str) -> list[dict[str, object]]:
    table = {"host": server.host, "port": server.port, "database": server.database}
    table |= {"user": server.user, "table": "article", "text": ["body"]}
    messages = {"servers": broker.servers, "topic": topic, "security": "plaintext"}
    return [
        {"kind": "postgres", "config": table, "secrets": {"password": server.password}},
        {"kind": "kafka", "config": messages | {"text": ["body"]}},
    ]


async def _texts(knowledge: Knowledge, library_id: str) -> dict[str, str]:
    documents = await knowledge.list_documents(SCOPE, library_id)
    assert len({document.path for document in documents}) == len(documents)  # none is doubled
    texts: dict[str, str] = {}
    for document in documents:
        with contextlib.suppress(NotFound):  # gone since it was listed
            texts[document.path] = await knowledge.document_text(SCOPE, library_id, document.id)
    return texts


@pytest.mark.timeout(600)
async def test_a_killed_process_loses_doubles_and_keeps_nothing(
    installation: Installation,
) -> None:
    chance = random.Random(11)
    with postgres.running() as server, kafka.running() as broker:
        topic = broker.topic("articles")
        server.run("create table article (id text primary key, body text)")
        writer = Writer(server, broker, topic)
        writer.start()
        try:
            for _ in range(_KILLS):
                with _following(installation.home, _sources(server, broker, topic)):
                    await asyncio.sleep(chance.uniform(0.05, 0.6))
        finally:
            writer.stop()
        expected = writer.rows | writer.messages
        async with installation.running() as knowledge:
            (library,) = await knowledge.list_libraries(SCOPE)
            texts: dict[str, str] = {}
            for _ in tries():
                texts = await _texts(knowledge, library.id)
                if texts == expected:
                    break
                await asyncio.sleep(0.05)
            assert texts == expected
