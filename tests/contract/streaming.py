"""Places whose servers are processes of their own: a mailbox, a table and a topic."""

import itertools
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.contract.place import Place
from tests.servers import dovecot, kafka, postgres

_NUMBERS = itertools.count()


class PostgresPlace(Place):
    """A table whose keys are the documents' names."""

    kind = "postgres"
    mode = "replication"

    def __init__(self, _folder: Path) -> None:
        super().__init__()
        self.server = postgres.shared()
        self.secrets = {"password": self.server.password}
        self._database = f"place_{next(_NUMBERS)}"
        self.server.run(f"create database {self._database}")
        with self.server.connect(self._database) as connection:
            connection.execute("create table document (name text primary key, body text)")

    @property
    def config(self) -> dict[str, Any]:
        return {
            "host": self.server.host,
            "port": self.server.port,
            "database": self._database,
            "user": self.server.user,
            "table": "document",
            "text": ["body"],
            "mode": self.mode,
            "interval": 0.2,
        }

    def write(self, name: str, text: str) -> None:
        with self.server.connect(self._database) as connection:
            connection.execute(
                "insert into document values (%s, %s) "
                "on conflict (name) do update set body = excluded.body",
                (name, text),
            )

    def delete(self, name: str) -> None:
        with self.server.connect(self._database) as connection:
            connection.execute("delete from document where name = %s", (name,))

    def down(self) -> None:
        self.server.stop()

    def up(self) -> None:
        self.server.start()

    def end(self) -> None:
        if not self.server.is_running:
            self.server.start()


class PolledPostgresPlace(PostgresPlace):
    mode = "poll"


class ImapPlace(Place):
    """A mailbox in which a message replaces the one of the same subject."""

    kind = "imap"

    def __init__(self, _folder: Path) -> None:
        super().__init__()
        self._running = ExitStack()
        self.server = self._running.enter_context(dovecot.running())
        self.secrets = {"password": self.server.password}

    @property
    def config(self) -> dict[str, Any]:
        return {
            "host": self.server.host,
            "port": self.server.port,
            "user": self.server.user,
            "ca": self.server.ca,
        }

    def write(self, name: str, text: str) -> None:
        self.delete(name)
        self.server.deliver(name, text)

    def delete(self, name: str) -> None:
        with self.server.client() as client:
            client.delete_messages(client.search(["SUBJECT", name, "UNDELETED"]))
            client.expunge()

    def down(self) -> None:
        self.server.stop()

    def up(self) -> None:
        self.server.start()

    def end(self) -> None:
        self._running.close()


class KafkaPlace(Place):
    """A topic whose keys are the documents' names."""

    kind = "kafka"

    def __init__(self, _folder: Path) -> None:
        super().__init__()
        self.broker = kafka.Kafka()
        self.broker.topic("documents")

    @property
    def config(self) -> dict[str, Any]:
        return {
            "servers": self.broker.servers,
            "topic": "documents",
            "security": "plaintext",
            "text": ["body"],
        }

    def write(self, name: str, text: str) -> None:
        self.broker.send("documents", name, {"body": text})
        self.broker.flush()

    def delete(self, name: str) -> None:
        self.broker.send("documents", name, None)
        self.broker.flush()

    def down(self) -> None:
        self.broker.stop()

    def up(self) -> None:
        self.broker.start()

    def end(self) -> None:
        self.broker.end()


STREAMING: dict[str, type[Place]] = {
    "imap": ImapPlace,
    "kafka": KafkaPlace,
    "postgres": PostgresPlace,
    "postgres, polled": PolledPostgresPlace,
}
