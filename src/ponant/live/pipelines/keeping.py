"""The library's side of a pipeline: a source, in live knowledge, that is handed its documents."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import ClassVar, Protocol

import msgspec

from ponant.kit.errors import Conflict, Forbidden, Unavailable
from ponant.live.pipelines.port import KeptDocument, Place
from ponant.live.port import Library, Source
from ponant.live.sources.kind import Context, Kind, Secrets
from ponant.live.sources.port import Batch, Content, Cursor, Found, Gone
from ponant.store import Scope

_MEDIA_TYPE = "text/markdown"


class PipelineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which pipeline it is.

    Attributes:
        library: the library's id, so that each has a source of its own.
    """

    pipeline: str
    library: str


class Desk:
    """Where batches are handed over, by what source takes them."""

    def __init__(self) -> None:
        self._queues: dict[PipelineConfig, asyncio.Queue[tuple[Batch, asyncio.Future[None]]]] = {}

    def queue(self, config: PipelineConfig) -> asyncio.Queue[tuple[Batch, asyncio.Future[None]]]:
        """The queue of one source."""
        return self._queues.setdefault(config, asyncio.Queue(1))

    async def hand(self, config: PipelineConfig, batch: Batch) -> None:
        """Give a batch to a source's follower; returns when it is stored.

        Raises:
            Unavailable: the follower failed on it; it shows why.
        """
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self.queue(config).put((batch, stored))
        await stored


DESK = Desk()  # the registry of kinds opens a source from its settings alone


class PipelineSource:
    """Yields what is handed over."""

    interval: float | None = None

    def __init__(self, config: PipelineConfig) -> None:
        self._config = config

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:  # noqa: ARG002 - a pipeline has its own
        """Yield batches as they are handed over; each is answered once the next is asked for."""
        yield Batch(changes=(), complete=False)
        queue = DESK.queue(self._config)
        while True:
            batch, stored = await queue.get()
            is_stored = False
            try:
                yield batch
                is_stored = True
            finally:
                _answer(stored, is_stored=is_stored)


class _Knowledge(Protocol):
    """What of `Knowledge` is used here."""

    async def list_libraries(self, scope: Scope) -> list[Library]: ...
    async def create_library(
        self, scope: Scope, name: str, description: str = "", owner_id: str | None = None
    ) -> Library: ...
    async def list_sources(self, scope: Scope, library_id: str) -> list[Source]: ...


class Keeping:
    """The part ``pipelines``: libraries that a pipeline's process fills.

    Args:
        add: declares a source, trusted.
    """

    METHODS: ClassVar[frozenset[str]] = frozenset({"open_library", "keep"})

    def __init__(self, knowledge: _Knowledge, add: Callable[..., Awaitable[Source]]) -> None:
        self._knowledge = knowledge
        self._add = add

    async def open_library(self, scope: Scope, pipeline: str, name: str) -> Place:
        """The library of a name, made where there is none, with a source for the pipeline.

        Raises:
            Conflict: several libraries have the name.
        """
        found = [one for one in await self._knowledge.list_libraries(scope) if one.name == name]
        if len(found) > 1:
            raise Conflict(f"Several libraries are called {name}. Rename one.")
        description = f"Kept by the pipeline {pipeline}."
        library = (
            found[0]
            if found
            else await self._knowledge.create_library(scope, name, description, scope.person_id)
        )
        config = {"pipeline": pipeline, "library": library.id}
        for source in await self._knowledge.list_sources(scope, library.id):
            if source.kind == "pipeline" and source.config == config:
                return Place(library_id=library.id, source_id=source.id)
        source = await self._add(scope, library.id, "pipeline", config, {}, trusted=True)
        return Place(library_id=library.id, source_id=source.id)

    async def keep(
        self,
        scope: Scope,
        library_id: str,
        pipeline: str,
        upserts: list[KeptDocument],
        deletes: list[str],
    ) -> None:
        """Store documents by key, and delete those that are gone; returns when both are done.

        Raises:
            Conflict: the pipeline has no source in the library.
        """
        sources = await self._knowledge.list_sources(scope, library_id)
        config = PipelineConfig(pipeline=pipeline, library=library_id)
        if not any(one.config == msgspec.to_builtins(config) for one in sources):
            raise Conflict("The library is not this pipeline's. Start the pipeline again.")
        changes: list[Found | Gone] = [Gone(key=key) for key in deletes]
        changes += [_found(one) for one in upserts]
        await DESK.hand(config, Batch(changes=changes, complete=False))


def _answer(stored: asyncio.Future[None], *, is_stored: bool) -> None:
    if stored.done():
        return
    if is_stored:
        stored.set_result(None)
    else:
        stored.set_exception(Unavailable("The library could not store it now.", retry_after=1))


def _found(document: KeptDocument) -> Found:
    return Found(
        key=document.key,
        signature="",
        name=document.name or document.key.rsplit("/", 1)[-1],
        read=partial(_content, document.data),
        media_type=document.media_type or _MEDIA_TYPE,
        url=document.url,
        metadata=document.metadata,
        access=document.access,
    )


async def _content(data: bytes) -> Content:
    return Content.of(data, "")


def _checked(config: PipelineConfig, context: Context) -> PipelineConfig:
    if not context.trusted:
        raise Forbidden("A pipeline is run by the operator: ponant live run, or PONANT_PIPELINES.")
    return config


def _open(config: PipelineConfig, _secrets: Secrets, _context: Context) -> PipelineSource:
    return PipelineSource(config)


KIND = Kind(
    name="pipeline",
    config=PipelineConfig,
    open=_open,
    check=_checked,
    reaches="none",
    hint='{"pipeline": "…", "library": "…"}: made by ponant live run alone',
    title=lambda config: config.pipeline,
)
