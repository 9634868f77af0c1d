"""How a PostgreSQL table is named and reached, and what is said when it cannot be."""

import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

import psycopg
from psycopg.conninfo import make_conninfo

from ponant.kit.network import Network
from ponant.live.sources import records
from ponant.live.sources.port import SignInRefused, SourceFault
from ponant.live.sources.postgres_tables import Connection

_SECONDS = 10  # to connect
# Rows that are read and changes that are streamed must be written out alike.
_OPTIONS = (
    "-c datestyle=ISO,YMD -c timezone=UTC -c intervalstyle=postgres -c extra_float_digits=1 "
    "-c bytea_output=hex -c lc_monetary=C"
)
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class PostgresConfig(records.Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table, or a view where it is polled. The secret is ``password``.

    Attributes:
        table: its name as SQL has it, such as ``public.articles``.
        mode: ``replication`` is told of each change and needs the right of that name; ``poll``
            looks every ``interval`` seconds and needs no more than to read.
        key: the columns that tell rows apart, where the table has no primary key.
        changed: a column that moves with every change, for polling; without one, PostgreSQL's own
            mark of the transaction that wrote the row, or for a view all of its values.
        publication: one that an administrator made, with this table in it; otherwise it is made.
        slot: a replication slot that an administrator made; otherwise it is made.
        tls: as libpq's sslmode.
        ca: a file of certificates to trust, for ``verify-full``.
    """

    host: str
    database: str
    user: str
    table: str
    port: int = 5432
    mode: Literal["replication", "poll"] = "replication"
    key: tuple[str, ...] = ()
    changed: str = ""
    interval: float = 5.0
    publication: str = ""
    slot: str = ""
    tls: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    ca: str = ""
    password_env: str | None = None
    batch: int = 500

    def __post_init__(self) -> None:
        for name in (self.publication, self.slot):
            if name and not _NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no name of a slot or publication: use a-z, 0-9 and _."
                )


class Place:
    """A configured table's database.

    Args:
        name: the source's own, from which the slot and the publication are named.
        network: the addresses that may be spoken to.
    """

    def __init__(self, config: PostgresConfig, password: str, name: str, network: Network) -> None:
        own = "ponant_" + hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
        self.config = config
        self.publication = config.publication or own
        self.slot = config.slot or own
        self._network = network
        self._parameters: dict[str, str | int | None] = {
            "port": config.port,
            "dbname": config.database,
            "user": config.user,
            "password": password or None,
            "sslmode": config.tls,
            "sslrootcert": config.ca or None,
            "application_name": "ponant",
            "connect_timeout": _SECONDS,
            "keepalives_idle": 30,
            "passfile": "/dev/null",  # nobody else's password
            "options": _OPTIONS,
        }

    async def conninfo(self, **more: str) -> str:
        """What libpq connects by, to addresses that are checked; it holds the password.

        Raises:
            SourceFault: the host has no address.
            ponant.kit.network.AddressRefused: it has none that may be spoken to.
        """
        host, port = self.config.host, self.config.port
        try:
            addresses = await self._network.addresses(host, port)
        except OSError as e:
            raise SourceFault(f"{host} has no address: {e.strerror}. Check the host.") from e
        given: dict[str, str | int | None] = {
            name: value for name, value in self._parameters.items() if value is not None
        }
        given |= {"hostaddr": ",".join(addresses), "host": ",".join([host] * len(addresses))}
        return make_conninfo("", **given, **more)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for statements, each by itself unless a transaction is begun.

        Raises:
            SourceFault: there is no server, or it refuses.
        """
        with self.faults():
            conninfo = await self.conninfo()
            connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
            try:
                yield connection
            finally:
                await connection.close()

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turns what PostgreSQL says into what people can do about it.

        Raises:
            SourceFault: in place of psycopg's errors.
        """
        try:
            yield
        except psycopg.Error as e:
            raise self._fault(e) from e

    def _fault(self, error: psycopg.Error) -> SourceFault:
        config, said = self.config, str(error)
        if "password authentication failed" in said or "no password supplied" in said:
            return SignInRefused(
                f"PostgreSQL at {config.host}:{config.port} refused the user {config.user} or the "
                "password. Set the source's password anew (ponant live sign-in)."
            )
        return SourceFault(self._mend(error))

    def _mend(self, error: psycopg.Error) -> str:
        config, said = self.config, str(error)
        place = f"{config.host}:{config.port}"
        if "replication role" in said or "REPLICATION" in said:
            return (
                f"{config.user} may not replicate. Run: ALTER ROLE {config.user} REPLICATION; or "
                'set mode to "poll".'
            )
        if "wal_level" in said:
            return (
                "PostgreSQL writes too little into its log for replication. Set wal_level to "
                'logical and start it again, or set mode to "poll".'
            )
        if "all replication slots are in use" in said:
            return "PostgreSQL has no free replication slot. Raise max_replication_slots."
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            return (
                f"PostgreSQL refused {config.user}: {records.shortened(said)}. Run: GRANT "
                f"SELECT ON {config.table} TO {config.user}."
            )
        return (
            f"PostgreSQL at {place} cannot be read: {records.shortened(said)}. Check the address, "
            "and that it runs. What was read before answers."
        )
