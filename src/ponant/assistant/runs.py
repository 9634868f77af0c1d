"""Answers being given, each with a log that any number of readers follow by number.

A run does not depend on who reads it: it goes on when the client leaves, and a client that comes
back reads on from the number of the last event it saw.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from ponant.assistant.schemas import Event
from ponant.store import Scope

_KEPT_FINISHED = 256


class Run:
    """One answer to one question; its events are numbered from 1."""

    def __init__(self, scope: Scope, conversation_id: str) -> None:
        self.scope = scope
        self.conversation_id = conversation_id
        self.events: list[Event] = []
        self.finished = False
        self.readers = 0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self._wake()

    def begin(self, work: Coroutine[Any, Any, None], then: Callable[[], None]) -> None:
        """Run ``work`` beside everything else and call ``then`` when it has ended."""
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(lambda _: self._end(then))

    async def stop(self) -> None:
        """End the answer where it is and wait until what was said is stored."""
        await asyncio.sleep(0)  # a task that has not begun could not say that it was stopped
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    async def follow(self, after: int = 0) -> AsyncGenerator[tuple[int, Event]]:
        """The events after a number, with theirs, until the run has ended."""
        seen = after
        self.readers += 1
        try:
            while True:
                news = self._news
                while seen < len(self.events):
                    seen += 1
                    yield seen, self.events[seen - 1]
                if self.finished:
                    return
                await news.wait()
        finally:
            self.readers -= 1

    def _end(self, then: Callable[[], None]) -> None:
        self.finished = True
        self._wake()
        then()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class Runs:
    """The last run of each conversation, while it is going on and for a while after."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}

    def find(self, scope: Scope, conversation_id: str) -> Run | None:
        """The run of somebody's own conversation."""
        run = self._runs.get(conversation_id)
        return run if run is not None and _same_person(run.scope, scope) else None

    def put(self, run: Run) -> None:
        self._runs.pop(run.conversation_id, None)
        self._runs[run.conversation_id] = run

    def trim(self) -> None:
        """Forget the oldest finished runs; what they said is in the database."""
        finished = [key for key, run in self._runs.items() if run.finished]
        for key in finished[: max(len(finished) - _KEPT_FINISHED, 0)]:
            del self._runs[key]

    async def stop_all(self) -> None:
        await asyncio.gather(*(run.stop() for run in self._runs.values()))


def _same_person(one: Scope, other: Scope) -> bool:
    """Whether two scopes are one person's, whose groups may have changed in between."""
    return (one.workspace_id, one.person_id) == (other.workspace_id, other.person_id)
