"""Every model that can be asked, by its id: those on this machine, echo, and upstream ones."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from ponant.hub import Catalogue, InstalledModel
from ponant.kit import Settings
from ponant.kit.errors import NotFound, PonantError
from ponant.serving.backend import CAPABILITIES
from ponant.serving.budget import MemoryBudget
from ponant.serving.embedding import LocalEmbedder
from ponant.serving.local import LocalModel
from ponant.serving.measured import recall
from ponant.serving.placing import place, tell
from ponant.serving.port import ModelCard, TextModel
from ponant.serving.remotes import Remotes
from ponant.serving.reranking import LocalReranker
from ponant.serving.runfolder import RunFolder
from ponant.serving.supervisor import WorkerProcess
from ponant.serving.unusable import UnusableModel
from ponant.serving.upstreams import Upstreams
from ponant.serving.voice import (
    BASE_TEMPLATE,
    Facts,
    LazyVoice,
    load_echo_voice,
    load_voice,
    read_facts,
)
from ponant.serving.wire import WorkerSpec
from ponant.store import Scope

_STARTED_FIRST = ("starter", "embed")
_ECHO = "echo"
_BASE_DETAIL = (
    "A base model: it chats, calls tools and fills in the middle by worked examples in the prompt."
)
_log = structlog.get_logger(__name__)

Local = LocalModel | LocalEmbedder | LocalReranker | UnusableModel


class Models:
    """The models of an installation.

    A model on this machine has a worker process of its own, started at the first request;
    the starter and the embedder start with the server.

    Args:
        settings: how much of the machine models may use, and which engine runs them.
        catalogue: the models on disk.
        upstreams: other servers, each organisation's its own.
    """

    def __init__(self, settings: Settings, catalogue: Catalogue, upstreams: Upstreams) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._remotes = Remotes(upstreams)
        self._folder = RunFolder(settings.home)
        self._cache = settings.home / "cache"
        self._budget = MemoryBudget(settings.memory)
        self._takes: dict[str, str] = {}
        self._workers: dict[str, WorkerProcess] = {}
        self._models: dict[str, Local] = {}
        self._opening = asyncio.Lock()

    def survey(self) -> list[tuple[ModelCard, str]]:
        """The cards of the models on disk, before any is loaded, and what each takes in words."""
        cards = [
            (self._models.get(model.id) or self._open(model)).card
            for model in self._catalogue.models()
        ]
        return [(card, self._takes.get(card.id, "")) for card in cards]

    async def start(self) -> None:
        """Begin to load the models that are wanted at once; returns before they are ready."""
        for model in await self._local():
            if model.card.id in _STARTED_FIRST and not isinstance(model, UnusableModel):
                model.start()

    def waiting(self) -> list[str]:
        """Which of the models that start with the server cannot be asked yet."""
        return [card.id for card in self._started_first() if card.state != "ready"]

    def failed(self) -> list[str]:
        """Which of them waiting does not bring: those that could not be loaded."""
        return [card.id for card in self._started_first() if card.state == "failed"]

    def _started_first(self) -> list[ModelCard]:
        return [model.card for name, model in self._models.items() if name in _STARTED_FIRST]

    async def close(self) -> None:
        """End the workers; requests in flight fail."""
        await asyncio.gather(*(worker.close() for worker in self._workers.values()))
        await self._remotes.close()
        self._workers.clear()
        self._models.clear()
        self._folder.remove()

    async def list(self, scope: Scope) -> list[ModelCard]:
        """The cards of all models that a caller may use."""
        local, remote = await asyncio.gather(self._local(), self._remotes.list(scope))
        return [model.card for model in (*local, *remote)]

    async def get(self, model_id: str, scope: Scope) -> TextModel:
        """A model by its id or an alias.

        Raises:
            NotFound: there is none by that name; the message names those there are.
            UpstreamFailed: its server cannot be reached.
        """
        known = self._models.get(model_id)
        if known is not None and (model_id == _ECHO or self._catalogue.still_has(model_id)):
            return known
        local = await self._local()
        for model in local:
            if model.card.id == model_id:
                return model
        for model in local:
            if model_id in model.card.aliases:
                return model
        remote = await self._remotes.get(model_id, scope)
        if remote is not None:
            return remote
        cards = await self.list(scope)
        names = ", ".join(card.id for card in cards)
        raise NotFound(f"There is no model {model_id}. There are: {names}.", param="model")

    async def embedder(self, model_id: str = "embed") -> TextModel:
        """A model on this machine that embeds.

        Raises:
            NotFound: there is none by that name.
        """
        for model in await self._local():
            if model.card.embedding and model_id in (model.card.id, *model.card.aliases):
                return model
        raise NotFound(f"There is no embedding model {model_id}. Run `ponant setup`.")

    async def reranker(self) -> TextModel:
        """The first model on this machine that reranks.

        Raises:
            NotFound: there is none.
        """
        for model in await self._local():
            if model.card.reranking:
                return model
        raise NotFound("No model here reranks. Bring a cross-encoder with `ponant pull`.")

    async def forget(self, names: Sequence[str]) -> None:
        """Drop what models here keep of prompts under these tags, in memory and on disk."""
        for model in list(self._models.values()):
            if isinstance(model, LocalModel):
                await model.forget(names)

    async def _local(self) -> tuple[Local, ...]:
        """The models of this machine as the disk has them now."""
        async with self._opening:
            installed = self._catalogue.models()
            for model in installed:
                if model.id not in self._models:
                    await asyncio.to_thread(self._open, model)
            if _ECHO not in self._models:
                self._models[_ECHO] = self._open_echo()
            kept = {_ECHO, *(model.id for model in installed)}
            return tuple(model for name, model in self._models.items() if name in kept)

    def _open(self, model: InstalledModel) -> Local:
        try:
            if model.kind != "generate":
                opened: Local = self._open_encoder(model, self._card(model, Facts()))
            else:
                opened = self._open_generator(model, self._card(model, read_facts(model)))
        except PonantError as e:
            _log.warning("A model cannot be used.", model=model.id, reason=e.message)
            opened = UnusableModel(self._card(model, Facts()), e.message)
        self._models[model.id] = opened
        return opened

    def _open_encoder(
        self, model: InstalledModel, card: ModelCard
    ) -> LocalEmbedder | LocalReranker:
        # One core fewer than chat may have: a long sync leaves it room.
        threads = max(1, self._settings.threads - 1)
        backend: Literal["encoder", "reranker"] = "encoder" if model.kind == "embed" else "reranker"
        spec = WorkerSpec(backend=backend, threads=threads, prompts=dict(model.prompts))
        needs = _size(model.path)
        self._takes[model.id] = f"takes about {needs / 1e9:.2f} GB of memory"
        card = msgspec.structs.replace(card, memory=needs)
        worker = self._worker(model.id, spec, model.path, needs)
        if backend == "encoder":
            return LocalEmbedder(card, worker)
        return LocalReranker(card, worker)

    def _open_generator(self, model: InstalledModel, card: ModelCard) -> LocalModel:
        placement = place(
            model,
            setting=self._settings.engine,
            context_length=self._settings.context,
            room=self._budget.whole,
            speeds=recall(self._settings.home, self._settings.threads),
        )
        self._takes[model.id] = tell(placement.needs)
        if placement.detour:
            _log.info("A model runs elsewhere.", model=model.id, reason=placement.detour)
        spec = WorkerSpec(
            backend=placement.backend,
            context_length=self._settings.context,
            queue=self._settings.queue,
            queue_tokens=self._settings.queue_tokens,
            spill=self._settings.kv_spill << 20,
            threads=self._settings.threads,
        )
        card = msgspec.structs.replace(
            card,
            backend=spec.backend,
            capabilities=CAPABILITIES[spec.backend],
            detail=" ".join(filter(None, (card.detail, placement.detour))),
            memory=placement.needs.total,
        )
        worker = self._worker(model.id, spec, model.path, placement.needs.total)
        voice = LazyVoice(model.id, lambda: load_voice(model, self._cache))
        return LocalModel(card, worker, voice)

    def _card(self, model: InstalledModel, facts: Facts) -> ModelCard:
        """What a model's manifest and its file's header say."""
        generates = model.kind == "generate"
        limit = self._settings.context
        is_base = model.template == BASE_TEMPLATE
        return ModelCard(
            id=model.id,
            aliases=model.aliases,
            name=model.name,
            description=model.description,
            origin=model.origin,
            licence=model.licence,
            restrictions=model.restrictions,
            backend="numpy",
            detail=_BASE_DETAIL if is_base else "",
            context_length=min(limit, facts.context_length or limit),
            chat=facts.chat,
            completion=generates,
            fim=facts.fim or is_base,
            embedding=model.kind == "embed",
            reranking=model.kind == "rerank",
            tools=facts.chat,
            documents=facts.chat,
        )

    def _open_echo(self) -> LocalModel:
        spec = WorkerSpec(
            backend="echo",
            context_length=self._settings.context,
            queue=self._settings.queue,
            queue_tokens=self._settings.queue_tokens,
            rate=self._settings.echo_rate,
        )
        card = ModelCard(
            id=_ECHO,
            name="Echo",
            description="Repeats the last user message, byte by byte; for tests of other programs.",
            origin="Ponant",
            licence="Apache-2.0",
            backend="echo",
            chat=True,
            completion=True,
            tools=True,
            context_length=self._settings.context,
            capabilities=CAPABILITIES["echo"],
        )
        return LocalModel(
            card, self._worker(_ECHO, spec, None, 0), LazyVoice(_ECHO, load_echo_voice)
        )

    def _worker(self, name: str, spec: WorkerSpec, path: Path | None, needs: int) -> WorkerProcess:
        spec = msgspec.structs.replace(
            spec,
            path=str(path or ""),
            cache=str(self._cache),
            log_level=self._settings.log_level,
        )
        worker = WorkerProcess(
            name, spec, self._folder, needs=needs, memory=lambda: self._budget.lend(name)
        )
        self._budget.enter(name, lambda: worker.held)
        self._workers[name] = worker
        return worker


def _size(path: Path) -> int:
    """Bytes that a model's files take on disk."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
