"""Answers a watch's question as a conversation would, from the passages that were found."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from ponant.accounts import Principal
from ponant.assistant.grounding import GroundedAnswer, Judge, Material, select
from ponant.assistant.port import Models
from ponant.assistant.schemas import Source, joined
from ponant.assistant.watches.schemas import Answer, Watch
from ponant.billing import Ledger, metered
from ponant.engine import FinishReason, Sampling
from ponant.kit.errors import UpstreamFailed
from ponant.live.port import Hit
from ponant.serving.port import (
    ChatRequest,
    CompletionRequest,
    Controls,
    Delta,
    Embeddings,
    InputKind,
    ModelCard,
    Relevances,
    TextModel,
)
from ponant.text.messages import Message, Role

_MOST_TOKENS = 400
_BEHIND_PEOPLE = -1  # who waits in front of a screen goes first
_CITATION = re.compile(r"\[(\d+)\]")
_BROKEN_OFF = frozenset({FinishReason.CANCELLED, FinishReason.ERROR})


class Answerer:
    """Makes answers of passages, with the models and on the account of whoever asks."""

    def __init__(
        self, models: Models, ledger: Ledger, judging: Callable[[], Awaitable[Judge]]
    ) -> None:
        self._models = models
        self._ledger = ledger
        self._judging = judging

    async def check(self, caller: Principal, model: str) -> None:
        """Raises NotFound where there is no such model for the caller."""
        await self._models.get(model, caller.scope)

    async def answer(
        self, caller: Principal, watch: Watch, hits: Sequence[Hit]
    ) -> tuple[Answer, int]:
        """An answer from ``hits``, and how many requests to a model it took.

        Raises:
            PonantError: the model is not there or did not answer.
        """
        sources = tuple(Source.of(number, hit) for number, hit in enumerate(hits, 1))
        if watch.setup.kind == "search":
            return Answer(passages=sources), 0
        question = watch.setup.query
        model = _Counted(await self._models.get(watch.setup.model, caller.scope))
        judge = await self._judging()
        evidence = await select(question, hits, judge)
        asked = (Message(role=Role.USER, content=question),)
        readers = {one.hit.readers for one in evidence if one.hit.readers}
        material = Material(
            messages=asked,
            question=question,
            evidence=tuple(evidence),
            controls=Controls(
                sampling=Sampling(temperature=0.0),
                max_tokens=_MOST_TOKENS,
                cache_scope="/".join((caller.workspace_id, *sorted(readers))),
                owner=caller.workspace_id,
                priority=_BEHIND_PEOPLE,
            ),
        )
        deltas = GroundedAnswer(model, judge, material).deltas()
        if evidence:
            deltas = metered(deltas, caller, model.card.id, self._ledger, prompt=question)
        content = await _collected(deltas, {one.number: one for one in sources})
        return Answer(content=content), model.calls


async def _collected(
    deltas: AsyncGenerator[Delta], sources: dict[int, Source]
) -> tuple[str | Source, ...]:
    pieces: list[str | Source] = []
    async with aclosing(deltas):
        async for delta in deltas:
            if delta.finish in _BROKEN_OFF:
                raise UpstreamFailed("The model broke off its answer.", retry_after=60)
            if delta.text:
                cited = _CITATION.fullmatch(delta.text)
                pieces.append(sources.get(int(cited[1]), delta.text) if cited else delta.text)
    return joined(pieces)


class _Counted:
    """A model whose requests are counted."""

    def __init__(self, model: TextModel) -> None:
        self._model = model
        self.calls = 0

    @property
    def card(self) -> ModelCard:
        return self._model.card

    def chat(self, request: ChatRequest) -> AsyncGenerator[Delta]:
        self.calls += 1
        return self._model.chat(request)

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta]:
        self.calls += 1
        return self._model.complete(request)

    async def embed(self, texts: Sequence[str], kind: InputKind = "passage") -> Embeddings:
        return await self._model.embed(texts, kind)

    async def rerank(self, query: str, texts: Sequence[str]) -> Relevances:
        return await self._model.rerank(query, texts)

    async def tokenize(self, text: str) -> list[int]:
        return await self._model.tokenize(text)
