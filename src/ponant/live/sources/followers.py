"""All sources of an installation: declared, followed, shown and removed."""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import structlog

from ponant.kit.errors import BadRequest, NotFound, PonantError
from ponant.kit.network import Network
from ponant.live.declarations import Declarations, Declared
from ponant.live.indexing.ingestion import Home, Ingestion
from ponant.live.port import Progress, Source
from ponant.live.queries import Queries
from ponant.live.sources.follower import Follower
from ponant.live.sources.kind import OWN
from ponant.live.sources.kinds import Context, KindView, kind_of, kind_views
from ponant.live.sources.meaning import Meaning
from ponant.live.sources.port import DocumentSource, Leaving, SourceFault
from ponant.live.sources.push import (
    MOST_AT_ONCE,
    Pushed,
    PushedDeletion,
    PushedDocument,
    change_of,
)
from ponant.live.sources.roots import Roots
from ponant.live.sources.state import SourceState
from ponant.live.sources.uploads import Uploads
from ponant.live.sources.vault import Vault
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

    Attributes:
        meaning: counts what is found by meaning too.
    """

    METHODS: ClassVar[frozenset[str]] = frozenset({"kinds", "push", "retry", "sign_in"})

    def __init__(
        self,
        home: Path,
        networks: tuple[str, ...],
        ingestion: Ingestion,
        queries: Queries,
        declarations: Declarations,
        uploads: Uploads,
        changed: Callable[[Scope, str], None],
        vault: Vault,
        brokers: frozenset[str] = frozenset(),
    ) -> None:
        self._home = home
        self._vault = vault
        self._brokers = brokers
        self._networks = networks
        self._ingestion = ingestion
        self._queries = queries
        self._declarations = declarations
        self._uploads = uploads
        self._changed = changed
        self._followers: dict[str, tuple[Follower, asyncio.Task[None]]] = {}
        self._pushing = asyncio.Lock()
        self.meaning = Meaning(ingestion, queries)

    async def push(
        self,
        scope: Scope,
        library_id: str,
        documents: list[PushedDocument],
        deletions: list[PushedDeletion],
    ) -> Pushed:
        """Take documents that a program pushes into a library; stored when this returns.

        Raises:
            BadRequest: one of them does not fit, and none was taken in; or they are too many.
            NotFound: there is no such library for this scope.
        """
        if len(documents) + len(deletions) > MOST_AT_ONCE:
            raise BadRequest(f"Push at most {MOST_AT_ONCE} documents at once.", param="documents")
        changes = [*map(change_of, documents), *map(change_of, deletions)]
        follower, _ = self._followers[await self._pushed_to(scope, library_id)]
        outcomes = await follower.take_now(changes)
        row = await self._ingestion.aside(self._queries.library, scope, library_id)
        return Pushed(version=row.version, as_of=row.as_of, documents=tuple(outcomes))

    async def retry(self, scope: Scope, library_id: str, source_id: str | None = None) -> int:
        """Read again what could not be read; returns how many documents that are.

        Raises:
            NotFound: there is no such library, or no such source in it.
        """
        rows = await self._ingestion.aside(self._queries.sources, scope, library_id)
        chosen = [row for row in rows if source_id in (None, row.id)]
        if source_id is not None and not chosen:
            raise NotFound(f"There is no source {source_id} in this library.")
        # What was pushed is not kept; who pushed it has the answer and pushes again.
        ids = [row.id for row in chosen if row.kind != "push" and row.id in self._followers]
        files = await self._uploads.retry(scope, library_id) if source_id is None else 0
        return files + sum(self._followers[one][0].retry() for one in ids)

    async def kinds(self, scope: Scope) -> list[KindView]:  # noqa: ARG002 - the same for every scope
        """The kinds of sources that there are."""
        return await self._ingestion.aside(kind_views)

    async def _pushed_to(self, scope: Scope, library_id: str) -> str:
        """The source that pushed documents of a library stand under; made at the first push."""
        async with self._pushing:
            rows = await self._ingestion.aside(self._queries.sources, scope, library_id)
            found = next((row.id for row in rows if row.kind == "push"), None)
            if found is not None:
                return found
            return (await self.add(scope, library_id, "push", {}, {}, trusted=False)).id

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
        closed = await self._ingestion.aside(self._vault.closed, library_id, checked)
        row = await self._ingestion.write(
            self._declarations.add_source, scope, library_id, closed, trusted=trusted
        )
        self.follow(scope, row)
        return self.shown(row)

    async def sign_in(
        self,
        scope: Scope,
        library_id: str,
        source_id: str,
        secrets: dict[str, str],
        config: dict[str, Any] | None = None,
    ) -> Source:
        """Give a source other secrets, and settings that say who signs in; it goes on with them.

        Raises:
            BadRequest: they do not fit, or would have it follow something else.
            NotFound: there is no such source in the library for this scope.
        """
        rows = await self._ingestion.aside(self._queries.sources, scope, library_id)
        row = next((one for one in rows if one.id == source_id), None)
        if row is None:
            raise NotFound(f"There is no source {source_id} in this library.")
        roots = await self._ingestion.aside(self._queries.roots)
        context = self._context(roots, trusted=row.trusted)
        kind = kind_of(row.kind)
        checked = await self._ingestion.aside(
            kind.signed_in, row.config, config or {}, secrets, context
        )
        row = await self._ingestion.write(
            self._declarations.sign_in,
            scope,
            library_id,
            source_id,
            msgspec.to_builtins(checked),
            partial(self._vault.anew, library_id, given=secrets),
        )
        await self._end(source_id)
        self.follow(scope, row)  # from the cursor that is stored
        return self.shown(row)

    def follow(self, scope: Scope, row: SourceRow) -> None:
        """Begin to keep a library in step with a source."""
        place = Home(scope, row.library_id, row.id)
        changed = partial(self._changed, scope, row.library_id)
        opened = partial(self._ingestion.aside, self._opened, scope, row)
        follower = Follower(place, opened, self._ingestion, changed, kind=row.kind)
        self._followers[row.id] = (follower, asyncio.create_task(follower.run()))

    async def unfollow(self, source_id: str) -> None:
        """Stop following a source, for good; what it brought stays."""
        await self._end(source_id)
        await self._ingestion.aside(shutil.rmtree, self._home / OWN / source_id, ignore_errors=True)

    async def _end(self, source_id: str) -> None:
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

    async def listed(self, scope: Scope, library_id: str) -> list[Source]:
        """A library's sources, the oldest first, with what is found by meaning too.

        Raises:
            NotFound: there is no such library for this scope.
        """
        rows = await self._ingestion.aside(self._queries.sources, scope, library_id)
        lacking = await self._ingestion.aside(self._queries.half_found, scope, library_id)
        has_meaning = self._ingestion.gate.identity is not None
        shown = [self.shown(row) for row in rows]
        return [
            msgspec.structs.replace(
                one, embedded=max(0, one.indexed - lacking.get(one.id, 0)) if has_meaning else 0
            )
            for one in shown
        ]

    def progress(self, library_id: str) -> tuple[Progress, ...]:
        """How far a library's sources are."""
        return tuple(
            Progress(
                id=source_id,
                kind=follower.kind,
                state=follower.state.state,
                message=follower.state.message,
                refused=follower.state.refused,
                seen=follower.state.seen,
                indexed=follower.state.indexed,
                parsed=follower.state.indexed,
                embedded=self.meaning.found(library_id, source_id, follower.state.indexed),
                failed=follower.state.failed,
                pending=follower.state.pending,
                rate=follower.state.rate,
                seconds_left=follower.state.seconds_left,
                interval=follower.state.interval,
            )
            for source_id, (follower, _) in self._followers.items()
            if follower.library_id == library_id
        )

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
            refused=state.refused,
            seen=state.seen,
            indexed=state.indexed,
            failed=state.failed,
            checked_at=state.checked_at,
            pending=state.pending,
            parsed=state.indexed,
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
        stored = self._queries.secrets(scope, row.library_id, row.id)
        secrets = self._vault.opened(row.library_id, stored)
        context = self._context(self._queries.roots(), trusted=row.trusted)
        return kind.open(config, secrets, replace(context, source_id=row.id))

    def _context(self, roots: Roots, *, trusted: bool) -> Context:
        return Context(
            home=self._home,
            roots=roots,
            network=Network(self._networks, everything=trusted),
            trusted=trusted,
            aside=self._ingestion.aside,
            brokers=self._brokers,
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
