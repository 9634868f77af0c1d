"""The other servers of an organisation: OpenAI-compatible endpoints whose models stand beside ours.

Only an administrator adds one, since the platform then sends text there.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit, urlunsplit

from sqlalchemy import delete, select

from ponant.kit import Clock, Settings, new_id
from ponant.kit.errors import BadRequest, Conflict, NotFound
from ponant.serving.tables import UpstreamRow
from ponant.store import Database, Scope, in_scope

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OLLAMA_PORT = 11434


@dataclass(frozen=True, slots=True)
class Upstream:
    """An endpoint; ``url`` is what ``/models`` and ``/chat/completions`` are put behind.

    Attributes:
        name: goes before the ids of its models, as in ``ollama/llama3``.
        key_env: environment variable of the server that holds the API key, or None.
    """

    name: str
    url: str
    key_env: str | None = None


class Upstreams:
    """Keeps the endpoints of each organisation."""

    def __init__(self, database: Database, clock: Clock, settings: Settings) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings

    def add(
        self, scope: Scope, url: str, name: str | None = None, key_env: str | None = None
    ) -> Upstream:
        """Register an endpoint.

        Args:
            scope: whose organisation's it is.
            url: its address; ``/v1`` is added where there is no path.
            name: lower-case letters, digits and dashes; taken from the address if None.
            key_env: environment variable that holds its API key. The key itself is not stored.

        Raises:
            BadRequest: an argument does not fit.
            Conflict: the organisation has one by that name.
        """
        parts = self._checked(url)
        upstream = Upstream(name or _name_for(parts), urlunsplit(parts), key_env)
        if not _NAME.fullmatch(upstream.name):
            raise BadRequest(
                f"{upstream.name!r} cannot be a name: use lower-case letters, digits and dashes.",
                param="name",
            )
        if key_env is not None and not _ENVIRONMENT.fullmatch(key_env):
            raise BadRequest(
                "Give the name of an environment variable that holds the key, not the key.",
                param="key_env",
            )
        with self._database.write() as session:
            taken = session.scalar(
                select(UpstreamRow.id).where(
                    in_scope(UpstreamRow, scope), UpstreamRow.name == upstream.name
                )
            )
            if taken is not None:
                raise Conflict(
                    f"There is an upstream {upstream.name} already. Remove it or use another name."
                )
            session.add(self._row(scope, upstream))
        return upstream

    def list(self, scope: Scope) -> list[Upstream]:
        """The organisation's endpoints, by name."""
        with self._database.read() as session:
            rows = session.scalars(
                select(UpstreamRow).where(in_scope(UpstreamRow, scope)).order_by(UpstreamRow.name)
            )
            return [Upstream(row.name, row.url, row.key_env) for row in rows]

    def remove(self, scope: Scope, name: str) -> None:
        """Forget an endpoint.

        Raises:
            NotFound: the organisation has none by that name.
        """
        with self._database.write() as session:
            row = session.scalar(
                select(UpstreamRow.id).where(in_scope(UpstreamRow, scope), UpstreamRow.name == name)
            )
            if row is None:
                raise NotFound(f"There is no upstream {name}. See `ponant upstream list`.")
            session.execute(
                delete(UpstreamRow).where(in_scope(UpstreamRow, scope), UpstreamRow.id == row)
            )

    def _row(self, scope: Scope, upstream: Upstream) -> UpstreamRow:
        return UpstreamRow(
            id=new_id("ups"),
            organisation_id=scope.organisation_id,
            name=upstream.name,
            url=upstream.url,
            key_env=upstream.key_env,
            created_at=self._clock.now(),
        )

    def _checked(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError as e:
            raise BadRequest(f"{url} is no address: {e}.", param="url") from e
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadRequest(f"{url} is no http or https address.", param="url")
        if parts.username or parts.password:
            raise BadRequest(
                "Leave the password out of the address and name a variable that holds it: "
                "--key-env.",
                param="url",
            )
        if port == self._settings.port and _is_loopback(parts.hostname):
            raise BadRequest("That is the address of this very server.", param="url")
        path = parts.path.rstrip("/") or "/v1"
        return parts._replace(path=path, query="", fragment="")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _name_for(parts: SplitResult) -> str:
    """A name from the address: what its maker is called, or the host."""
    if parts.port == _OLLAMA_PORT:
        return "ollama"
    host = (parts.hostname or "").lower()
    if _is_loopback(host) or re.fullmatch(r"[0-9.:a-f]*:[0-9.:a-f]*|[0-9.]+", host):
        return f"local-{parts.port or 80}" if _is_loopback(host) else re.sub(r"\W+", "-", host)
    labels = host.split(".")
    return labels[-2] if len(labels) > 1 else labels[0]
