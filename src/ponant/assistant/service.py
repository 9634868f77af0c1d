"""Conversations: held, kept and answered."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ponant.accounts import Principal
from ponant.assistant import withholding
from ponant.assistant.answering import Answering
from ponant.assistant.archive import Archive
from ponant.assistant.arranging import Arrangement
from ponant.assistant.grounding import Judge
from ponant.assistant.port import Knowledge, Models
from ponant.assistant.runs import Run, Runs
from ponant.assistant.schemas import (
    Answered,
    Ask,
    Conversation,
    Entry,
    Event,
    Said,
    Setup,
)
from ponant.billing import Ledger
from ponant.kit import Clock, new_id
from ponant.kit.errors import BadRequest, Conflict, NotFound, PonantError
from ponant.kit.tasks import Tasks
from ponant.live.port import Notice
from ponant.store import Database
from ponant.text.messages import Role

_LONGEST_NAME = 60


class Assistant:
    """Holds conversations on behalf of people; every method acts in the caller's scope."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        models: Models,
        live: Knowledge,
        ledger: Ledger,
    ) -> None:
        self._archive = Archive(database, clock)
        self._clock = clock
        self._models = models
        self._live = live
        self._ledger = ledger
        self._runs = Runs()
        self._judge: Judge | None = None
        self.arrangement = Arrangement()
        self._forgetting = Tasks("forgetting")

    async def close(self) -> None:
        """End the answers that are being given; what they said is kept."""
        await self._runs.stop_all()
        await self._forgetting.finish()

    def withdraw(self, notice: Notice) -> None:
        """Have models forget what they keep of passages that may not be shown any more."""
        self.arrangement.forget(notice.keys)
        self._forgetting.spawn(self._models.forget(notice.keys))

    async def start(self, caller: Principal, setup: Setup, ask: Ask) -> Run:
        """Begin a conversation and its first answer.

        Raises:
            NotFound: there is no such model or library for the caller.
            BadRequest: there is nothing to answer.
        """
        _check(ask)
        await self._models.get(setup.model, caller.scope)
        for library_id in setup.library_ids:
            await self._live.get_library(caller.scope, library_id)
        now = self._clock.now()
        conversation = Conversation(
            id=new_id("conv"),
            name=setup.name or _title(ask),
            description=setup.description,
            model=setup.model,
            instructions=setup.instructions,
            library_ids=setup.library_ids,
            completion_args=setup.completion_args,
            extra=setup.extra,
            created_at=now,
            updated_at=now,
        )
        return await self._begin(caller, conversation, [], ask, new=True)

    async def append(self, caller: Principal, conversation_id: str, ask: Ask) -> Run:
        """Put something into a conversation and answer it.

        An answer that is still being given, and that nobody reads any more, is stopped for it.

        Raises:
            Conflict: somebody reads the answer that is still being given.
        """
        _check(ask)
        running = self._runs.find(caller.scope, conversation_id)
        if running is not None and not running.readers:
            await running.stop()
        conversation = await self.get(caller, conversation_id)
        entries = await self.history(caller, conversation_id)
        return await self._begin(caller, conversation, entries, ask, new=False)

    async def restart(
        self, caller: Principal, conversation_id: str, from_entry_id: str, ask: Ask
    ) -> Run:
        """Answer anew from an entry on, in a new conversation that has what came before.

        A question is asked again as it was, and an answer is given again, where ``ask`` brings
        nothing new. Today's knowledge counts; the old conversation stays as it is.
        """
        old = await self.get(caller, conversation_id)
        entries = await self.history(caller, conversation_id)
        kept = _until(entries, from_entry_id)
        if not ask.inputs:
            kept, again = _last_question(kept)
            ask = Ask(inputs=(again,), controls=ask.controls, keep=ask.keep)
        now = self._clock.now()
        new = Conversation(
            id=new_id("conv"),
            name=old.name,
            description=old.description,
            model=old.model,
            instructions=old.instructions,
            library_ids=old.library_ids,
            completion_args=old.completion_args,
            extra=old.extra,
            created_at=now,
            updated_at=now,
        )
        copies = [_copy(entry) for entry in kept]
        return await self._begin(caller, new, copies, ask, new=True)

    async def list(
        self, caller: Principal, page: int = 0, page_size: int = 100
    ) -> Sequence[Conversation]:
        """The caller's conversations, the latest first."""
        return await asyncio.to_thread(self._archive.list, caller.scope, page, page_size)

    async def get(self, caller: Principal, conversation_id: str) -> Conversation:
        """One of the caller's conversations; NotFound where it is not."""
        return await asyncio.to_thread(self._archive.get, caller.scope, conversation_id)

    async def delete(self, caller: Principal, conversation_id: str) -> None:
        """Stop it and remove all that was said."""
        await self.stop(caller, conversation_id)
        await asyncio.to_thread(self._archive.remove, caller.scope, conversation_id)

    async def history(self, caller: Principal, conversation_id: str) -> Sequence[Entry]:
        """Everything in a conversation, in order; NotFound where it is not the caller's.

        What it keeps of documents that are gone, or closed to the caller, is left out.
        """
        stored = await asyncio.to_thread(self._archive.entries, caller.scope, conversation_id)
        return await withholding.entries(self._live, caller.scope, stored)

    async def follow(
        self, caller: Principal, run: Run, after: int = 0
    ) -> AsyncGenerator[tuple[int, Event]]:
        """The events of an answer as the caller may see them now, which may be long after."""
        async with aclosing(run.follow(after)) as followed:
            async for number, event in followed:
                yield number, await withholding.event(self._live, caller.scope, event)

    async def messages(self, caller: Principal, conversation_id: str) -> Sequence[Entry]:
        """What people and models said, without searches."""
        entries = await self.history(caller, conversation_id)
        return [entry for entry in entries if isinstance(entry.content, Said | Answered)]

    def running(self, caller: Principal, conversation_id: str) -> Run:
        """The answer being given in a conversation, or the last one for a while after.

        Raises:
            NotFound: there is none.
        """
        run = self._runs.find(caller.scope, conversation_id)
        if run is None:
            raise NotFound(
                "Nothing is being answered in this conversation. Its history has what was said."
            )
        return run

    async def stop(self, caller: Principal, conversation_id: str) -> None:
        """End the answer that is being given, if any; what was said is kept."""
        run = self._runs.find(caller.scope, conversation_id)
        if run is not None:
            await run.stop()

    async def _begin(
        self,
        caller: Principal,
        conversation: Conversation,
        entries: Sequence[Entry],
        ask: Ask,
        *,
        new: bool,
    ) -> Run:
        """Store the question and start to answer it; ``entries`` came before."""
        self._refuse_if_running(caller, conversation.id)
        run = Run(caller.scope, conversation.id)
        self._runs.put(run)
        now = self._clock.now()
        said = [
            Entry(id=new_id("msg"), content=one, created_at=now, completed_at=now)
            for one in ask.inputs
        ]
        try:
            if new:
                kept = [*entries, *said]
                await asyncio.to_thread(self._archive.open, caller.scope, conversation, kept)
            else:
                await asyncio.to_thread(self._archive.add, caller.scope, conversation.id, said)
        except BaseException:
            run.finished = True
            raise
        answering = Answering(
            run,
            caller,
            conversation,
            [*entries, *said],
            ask,
            clock=self._clock,
            models=self._models,
            live=self._live,
            ledger=self._ledger,
            archive=self._archive,
            judging=self.judging,
            arrangement=self.arrangement,
        )
        run.begin(answering.run(), self._runs.trim)
        return run

    def _refuse_if_running(self, caller: Principal, conversation_id: str) -> None:
        running = self._runs.find(caller.scope, conversation_id)
        if running is not None and not running.finished:
            raise Conflict(
                "This conversation is still being answered. Wait for the answer, or stop it with "
                f"POST /v1/conversations/{conversation_id}/stop."
            )

    async def judging(self) -> Judge:
        """The judge of this process; one without an embedder where there is none now."""
        if self._judge is None:
            try:
                self._judge = Judge(await self._models.embedder())
            except PonantError:
                return Judge(None)
        return self._judge


def _check(ask: Ask) -> None:
    if not ask.inputs or not ask.inputs[-1].text.strip():
        raise BadRequest("There is nothing to answer. Put a message in inputs.", param="inputs")
    if ask.inputs[-1].role is not Role.USER:
        raise BadRequest("The last of the inputs must be a user's message.", param="inputs")


def _title(ask: Ask) -> str:
    """The first message on one line, cut at a word where it is long."""
    text = " ".join(ask.inputs[0].text.split())
    if len(text) <= _LONGEST_NAME:
        return text
    return text[:_LONGEST_NAME].rsplit(" ", 1)[0].rstrip(",;:") + "…"


def _until(entries: Sequence[Entry], entry_id: str) -> list[Entry]:
    for place, entry in enumerate(entries):
        if entry.id == entry_id:
            return list(entries[: place + 1])
    raise NotFound(f"There is no entry {entry_id} in this conversation.", param="from_entry_id")


def _last_question(entries: list[Entry]) -> tuple[list[Entry], Said]:
    """What came before the last question, and the question."""
    for place in range(len(entries) - 1, -1, -1):
        content = entries[place].content
        if isinstance(content, Said) and content.role is Role.USER:
            return entries[:place], content
    raise BadRequest("No question comes before this entry.", param="from_entry_id")


def _copy(entry: Entry) -> Entry:
    prefix = entry.id.split("_", 1)[0]
    return Entry(
        id=new_id(prefix),
        content=entry.content,
        created_at=entry.created_at,
        completed_at=entry.completed_at,
    )
