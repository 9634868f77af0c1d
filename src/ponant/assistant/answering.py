"""One answer from question to last word: search, choose, generate, meter, store."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial

import msgspec
import structlog

from ponant.accounts import Principal
from ponant.assistant import history, withholding
from ponant.assistant.archive import Archive
from ponant.assistant.arranging import Arrangement, cache_scope
from ponant.assistant.grounding import GroundedAnswer, Judge, Material, asks_nothing, select
from ponant.assistant.port import Knowledge, Models
from ponant.assistant.runs import Run
from ponant.assistant.schemas import (
    Answered,
    AnswerState,
    Ask,
    Conversation,
    Done,
    Entry,
    Failed,
    SearchDone,
    Searched,
    SearchStarted,
    Source,
    Spoken,
    Started,
    joined,
)
from ponant.billing import Ledger, metered, most_tokens
from ponant.engine import Sampling, Usage
from ponant.kit import Clock, PonantError, new_id
from ponant.kit.errors import NotFound
from ponant.live.port import SearchResult
from ponant.serving.port import ChatRequest, Controls, Delta, TextModel
from ponant.text.messages import Message, Role

_MOST_HITS = 8
_CITATION = re.compile(r"\[(\d+)\]")

log = structlog.get_logger()


class Answering:
    """Gives one answer and tells its run; `run` is called once."""

    def __init__(
        self,
        run: Run,
        caller: Principal,
        conversation: Conversation,
        entries: list[Entry],
        ask: Ask,
        *,
        clock: Clock,
        models: Models,
        live: Knowledge,
        ledger: Ledger,
        archive: Archive,
        judging: Callable[[], Awaitable[Judge]],
        arrangement: Arrangement,
    ) -> None:
        self._run = run
        self._caller = caller
        self._conversation = conversation
        self._entries = entries
        self._ask = ask
        self._clock = clock
        self._models = models
        self._live = live
        self._ledger = ledger
        self._archive = archive
        self._judging = judging
        self._arrangement = arrangement
        self._entry_id = new_id("msg")
        self._pieces: list[str | Source] = []
        self._sources: dict[int, Source] = {}
        self._readers = withholding.readers(entries)
        self._searched = False
        self._usage = Usage(prompt_tokens=0, completion_tokens=0)
        self._forgotten = 0
        self._began_at: float | None = None

    async def run(self) -> None:
        """Answer; what was said until then is stored however it ends."""
        self._run.emit(Started(conversation_id=self._conversation.id, at=self._clock.now()))
        try:
            await self._answer()
        except asyncio.CancelledError:
            await self._finish("stopped")
        except PonantError as e:
            await self._fail(e)
        except Exception:
            log.exception("answer failed", conversation=self._conversation.id)
            await self._fail(PonantError("The answer failed inside Ponant. The log says why."))
        else:
            await self._finish("done")
        if not self._ask.keep:
            scope, conversation_id = self._caller.scope, self._conversation.id
            with suppress(NotFound):
                await asyncio.to_thread(self._archive.remove, scope, conversation_id)

    async def _answer(self) -> None:
        model = await self._models.get(self._conversation.model, self._caller.scope)
        question = history.standalone(self._entries)
        if not self._conversation.library_ids or asks_nothing(question):
            deltas = self._plain(model)
        else:
            found = await self._search(question)
            deltas = self._grounded(model, await self._judging(), question, found)
        async with aclosing(deltas):
            async for delta in deltas:
                self._take(delta)

    async def _search(self, question: str) -> SearchResult:
        entry_id, libraries = new_id("tool"), self._conversation.library_ids
        started = self._clock.now()
        self._run.emit(SearchStarted(entry_id=entry_id, query=question, at=started))
        result = await self._live.search(self._caller.scope, libraries, question, _MOST_HITS)
        sources = tuple(Source.of(number, hit) for number, hit in enumerate(result.hits, 1))
        self._searched = True
        self._sources = {source.number: source for source in sources}
        found = Searched(
            query=question, sources=sources, version=result.version, as_of=result.as_of
        )
        now = self._clock.now()
        entry = Entry(id=entry_id, content=found, created_at=started, completed_at=now)
        await self._add(entry)
        self._run.emit(SearchDone(entry_id=entry_id, found=found, at=now))
        return result

    async def _grounded(
        self, model: TextModel, judge: Judge, question: str, found: SearchResult
    ) -> AsyncGenerator[Delta]:
        evidence = self._arrangement.arranged(await select(question, found.hits, judge))
        asked = history.messages(self._entries, self._conversation.instructions)
        if model.card.place == "here" and question == asked[-1].content:
            # The passages are all that a small model should go by: an older answer may be stale.
            asked = tuple(one for one in asked[:-1] if one.role is Role.SYSTEM) + asked[-1:]
        self._readers |= {one.hit.readers for one in evidence if one.hit.readers}
        controls = self._controls(temperature=0.0)
        said, self._forgotten = await history.fitted(asked, model, controls.max_tokens)
        answer = GroundedAnswer(
            model,
            judge,
            Material(messages=said, question=question, evidence=tuple(evidence), controls=controls),
        )
        deltas = answer.deltas()
        # Where nothing is there to answer from, no model is asked and nothing is used.
        stream = self._metered(deltas, model, said, answer.most_tokens) if evidence else deltas
        async with aclosing(stream):
            async for delta in stream:
                yield delta

    async def _plain(self, model: TextModel) -> AsyncGenerator[Delta]:
        controls = self._controls(temperature=None)
        asked = history.messages(self._entries, self._conversation.instructions)
        said, self._forgotten = await history.fitted(asked, model, controls.max_tokens)
        request = ChatRequest(messages=said, controls=controls)
        most = partial(most_tokens, model.card, request)
        async with aclosing(self._metered(model.chat(request), model, said, most)) as stream:
            async for delta in stream:
                yield delta

    def _metered(
        self,
        deltas: AsyncIterator[Delta],
        model: TextModel,
        said: tuple[Message, ...],
        most: Callable[[], int],
    ) -> AsyncGenerator[Delta]:
        prompt = "\n".join(message.content for message in said)
        return metered(deltas, self._caller, model.card.id, self._ledger, most=most, prompt=prompt)

    def _controls(self, temperature: float | None) -> Controls:
        controls = msgspec.structs.replace(
            self._ask.controls,
            cache_scope=cache_scope(self._caller, self._readers),
            owner=self._caller.workspace_id,
        )
        if temperature is None or self._ask.own_temperature:
            return controls
        return msgspec.structs.replace(controls, sampling=Sampling(temperature=temperature))

    def _take(self, delta: Delta) -> None:
        if delta.usage is not None:
            self._usage = delta.usage
        if self._began_at is None and (delta.tokens or delta.text):
            self._began_at = time.monotonic()
        if not delta.text:
            return
        cited = _CITATION.fullmatch(delta.text)
        piece = self._sources.get(int(cited.group(1)), delta.text) if cited else delta.text
        self._pieces.append(piece)
        self._run.emit(
            Spoken(
                entry_id=self._entry_id,
                model=self._conversation.model,
                piece=piece,
                output_index=1 if self._searched else 0,
                content_index=len(joined(self._pieces)) - 1,
                at=self._clock.now(),
            )
        )

    async def _finish(self, state: AnswerState) -> None:
        try:
            await self._keep(state)
        except PonantError as e:  # such as a full disk: who reads must know that it is not kept
            self._tell_failure(e)
            return
        cited = {piece.number: piece for piece in self._pieces if isinstance(piece, Source)}
        self._run.emit(
            Done(
                usage=self._usage,
                cited=tuple(cited[number] for number in sorted(cited)),
                tokens_per_second=self._speed(),
                state=state,
                forgotten=self._forgotten,
                at=self._clock.now(),
            )
        )

    async def _fail(self, fault: PonantError) -> None:
        with suppress(PonantError):  # the first failure is the one to tell
            await self._keep("failed")
        self._tell_failure(fault)

    def _tell_failure(self, fault: PonantError) -> None:
        self._run.emit(Failed(fault=fault, at=self._clock.now()))

    async def _keep(self, state: AnswerState) -> None:
        if not self._pieces:
            return
        answered = Answered(
            model=self._conversation.model,
            content=joined(self._pieces),
            state=state,
            forgotten=self._forgotten,
            tokens_per_second=self._speed(),
        )
        now = self._clock.now()
        entry = Entry(id=self._entry_id, content=answered, created_at=now, completed_at=now)
        # Somebody may have deleted the conversation while it was being answered.
        with suppress(NotFound):
            await self._add(entry)

    async def _add(self, entry: Entry) -> None:
        scope, conversation_id = self._caller.scope, self._conversation.id
        await asyncio.to_thread(self._archive.add, scope, conversation_id, [entry])

    def _speed(self) -> float | None:
        """Tokens per second since the first one; what the prompt took is not in it."""
        made = self._usage.completion_tokens - 1
        if self._began_at is None or made < 1:
            return None
        return round(made / max(time.monotonic() - self._began_at, 1e-3), 1)
