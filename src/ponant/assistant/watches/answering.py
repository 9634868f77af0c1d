"""Answers a watch's question as a conversation would, from the passages that were found."""

import hashlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from ponant.accounts import Principal
from ponant.assistant.arranging import Arrangement, cache_scope
from ponant.assistant.grounding import Evidence, GroundedAnswer, Judge, Material, select
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


@dataclass(frozen=True, slots=True)
class Made:
    """An answer, the requests to a model that it took, and what was shown of each passage."""

    answer: Answer
    calls: int
    shown: dict[str, str]


class Answerer:
    """Makes answers of passages, with the models and on the account of whoever asks."""

    def __init__(
        self,
        models: Models,
        ledger: Ledger,
        judging: Callable[[], Awaitable[Judge]],
        arrangement: Arrangement,
    ) -> None:
        self._models = models
        self._ledger = ledger
        self._judging = judging
        self._arrangement = arrangement

    async def check(self, caller: Principal, model: str) -> None:
        """Raises NotFound where there is no such model for the caller."""
        await self._models.get(model, caller.scope)

    async def may_spend(self, caller: Principal, watch: Watch) -> None:
        """Raises BudgetUsedUp where a model may not be asked for the caller this month."""
        if watch.setup.kind == "question":
            await self._ledger.budgets.check(caller)

    async def answer(self, caller: Principal, watch: Watch, hits: Sequence[Hit]) -> Made:
        """An answer from ``hits``.

        A model is asked only where it would be shown something else than for the last answer: at
        temperature 0 it says the same of the same.

        Raises:
            PonantError: the model is not there or did not answer.
        """
        sources = tuple(Source.of(number, hit) for number, hit in enumerate(hits, 1))
        if watch.setup.kind == "search":
            return Made(Answer(passages=sources), 0, {})
        judge = await self._judging()
        evidence = await select(watch.setup.query, hits, judge)
        shown = {one.hit.passage_id: _shown(one) for one in evidence}
        if watch.answer is not None and sorted(shown.values()) == sorted(watch.shown.values()):
            now = {shown[one.passage_id]: one for one in sources if one.passage_id in shown}
            return Made(_cited_anew(watch.answer, watch.shown, now), 0, shown)
        model = _Counted(await self._models.get(watch.setup.model, caller.scope))
        material = _material(caller, watch, self._arrangement.arranged(evidence))
        grounded = GroundedAnswer(model, judge, material)
        deltas = grounded.deltas()
        if evidence:
            deltas = metered(
                deltas,
                caller,
                model.card.id,
                self._ledger,
                most=grounded.most_tokens,
                prompt=watch.setup.query,
            )
        content = await _collected(deltas, {one.number: one for one in sources})
        return Made(Answer(content=content), model.calls, shown)


def _material(caller: Principal, watch: Watch, evidence: Sequence[Evidence]) -> Material:
    readers = {one.hit.readers for one in evidence if one.hit.readers}
    return Material(
        messages=(Message(role=Role.USER, content=watch.setup.query),),
        question=watch.setup.query,
        evidence=tuple(evidence),
        controls=Controls(
            sampling=Sampling(temperature=0.0),
            max_tokens=_MOST_TOKENS,
            cache_scope=cache_scope(caller, readers),
            owner=caller.workspace_id,
            priority=_BEHIND_PEOPLE,
        ),
    )


def _shown(one: Evidence) -> str:
    """Names what a model is shown of a passage."""
    said = "\n".join((one.hit.document_name, one.hit.heading, str(one.certain), *one.sentences))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _cited_anew(answer: Answer, before: Mapping[str, str], now: Mapping[str, Source]) -> Answer:
    """An answer that stands, with the passages as they are now in its citations."""
    return Answer(
        content=tuple(
            piece if isinstance(piece, str) else now.get(before.get(piece.passage_id, ""), piece)
            for piece in answer.content
        )
    )


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
