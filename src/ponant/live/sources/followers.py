"""All sources of an installation: declared, followed, shown and removed."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog

from ponant.kit.errors import BadRequest, PonantError
from ponant.kit.network import Network
from ponant.live.declarations import Declarations, Declared
from ponant.live.indexing.ingestion import Home, Ingestion
from ponant.live.port import Source
from ponant.live.queries import Queries
from ponant.live.sources.follower import Follower
from ponant.live.sources.kinds import Context, kind_of
from ponant.live.sources.port import DocumentSource, Leaving, SourceFault
from ponant.live.sources.roots import Roots
from ponant.live.sources.state import SourceState
from ponant.live.tables import SourceRow
from ponant.store import Scope

_FORGET_SECONDS = 10.0

_log = structlog.get_logger(__name__)


class Followers:
    """Keeps one follower for each source.

    Args:
        home: where Ponant keeps its own data.
        networks: addresses inside the operator's network that HTTP callers' sources may reach.
        changed: called when a library's sources stand differently.
    """

    def __init__(
        self,
        home: Path,
        networks: tuple[str, ...],
        ingestion: Ingestion,
        queries: Queries,
        declarations: Declarations,
        changed: Callable[[Scope, str], None],
    ) -> None:
        self._home = home
        self._networks = networks
        self._ingestion = ingestion
        self._queries = queries
        self._declarations = declarations
        self._changed = changed
        self._followers: dict[str, tuple[Follower, asyncio.Task[None]]] = {}

    def __len__(self) -> int:
        return len(self._followers)

    async def add(
        self,
        scope: Scope,
        library_id: str,
        kind: str,
        config: Mapping[str, Any],
        secrets: Mapping[str, str],
        *,
        trusted: bool,
    ) -> Source:
        """Declare a source and follow it.

        Raises:
            BadRequest: the kind is unknown, or its settings do not fit.
            Forbidden: a source may not reach what they name.
            Conflict: the library follows the same already.
            NotFound: there is no such library for this scope.
        """
        roots = await self._ingestion.aside(self._queries.roots)
        context = self._context(roots, trusted=trusted)
        checked = await self._ingestion.aside(check, kind, config, secrets, context)
        row = await self._ingestion.write(
            self._declarations.add_source, scope, library_id, checked, trusted=trusted
        )
        self.follow(scope, row)
        return self.shown(row)

    def follow(self, scope: Scope, row: SourceRow) -> None:
        """Begin to keep a library in step with a source."""
        place = Home(scope, row.library_id, row.id)
        changed = partial(self._changed, scope, row.library_id)
        opened = partial(self._ingestion.aside, self._opened, scope, row)
        follower = Follower(place, opened, self._ingestion, changed)
        self._followers[row.id] = (follower, asyncio.create_task(follower.run()))

    async def unfollow(self, source_id: str) -> None:
        """Stop following a source; what it brought stays."""
        if source_id in self._followers:
            _, task = self._followers.pop(source_id)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def forget(self, scope: Scope, row: SourceRow) -> None:
        """Clear away what a removed source made where it read; it may be gone from there."""
        try:
            async with asyncio.timeout(_FORGET_SECONDS):
                source = await self._ingestion.aside(self._opened, scope, row)
                if isinstance(source, Leaving):
                    await source.forget()
        except (SourceFault, PonantError, OSError) as e:  # TimeoutError is one
            _log.warning("A source left something behind.", source=row.id, reason=str(e))

    async def close(self) -> None:
        """Stop following every source."""
        tasks = [task for _, task in self._followers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def retry(self, source_id: str) -> int:
        """Read again what a source could not be read of; returns how many documents."""
        found = self._followers.get(source_id)
        return found[0].retry() if found else 0

    def states(self, library_id: str) -> list[SourceState]:
        """How a library's sources fare."""
        followers = (follower for follower, _ in self._followers.values())
        return [one.state for one in followers if one.library_id == library_id]

    def shown(self, row: SourceRow) -> Source:
        """A source as callers see it, without its secrets."""
        found = self._followers.get(row.id)
        state = found[0].state if found else SourceState()
        return Source(
            id=row.id,
            library_id=row.library_id,
            kind=row.kind,
            config=row.config,
            created_at=row.created_at,
            state=state.state,
            message=state.message,
            seen=state.seen,
            indexed=state.indexed,
            failed=state.failed,
            checked_at=state.checked_at,
            pending=state.pending,
            rate=state.rate,
            seconds_left=state.seconds_left,
            interval=state.interval,
        )

    def _opened(self, scope: Scope, row: SourceRow) -> DocumentSource:
        """The source of a row.

        Raises:
            SourceFault: this version of Ponant cannot follow it.
        """
        try:
            kind = kind_of(row.kind)
            config = kind.parsed(row.config)
        except BadRequest as e:
            raise SourceFault(f"{e.message} Remove the source and add it again.") from e
        secrets = self._queries.secrets(scope, row.library_id, row.id)
        context = self._context(self._queries.roots(), trusted=row.trusted)
        return kind.open(config, secrets, replace(context, source_id=row.id))

    def _context(self, roots: Roots, *, trusted: bool) -> Context:
        return Context(
            home=self._home,
            roots=roots,
            network=Network(self._networks, everything=trusted),
            trusted=trusted,
            aside=self._ingestion.aside,
        )


def check(
    kind: str, config: Mapping[str, Any], secrets: Mapping[str, str], context: Context
) -> Declared:
    """A source as it may be kept.

    Raises:
        BadRequest: the kind is unknown, or its settings do not fit.
        Forbidden: a source may not reach what they name.
    """
    found = kind_of(kind)
    checked = found.checked(config, secrets, context)
    folder = None
    if context.trusted and found.folder is not None:
        path = found.folder(checked)
        folder = None if context.roots.covers(Path(path)) else path
    return Declared(kind, msgspec.to_builtins(checked), dict(secrets), found.title(checked), folder)
