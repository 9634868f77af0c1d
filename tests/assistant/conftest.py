"""An assistant over a database of its own, with the models and libraries that a test gives it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from ponant.accounts import Accounts, Principal
from ponant.assistant import Ask, Assistant, Event, Run, Said
from ponant.billing import Ledger
from ponant.serving.port import TextModel
from ponant.store import Database
from ponant.text.messages import Role
from tests.fakes.accounts import add_organisation
from tests.fakes.clock import FakeClock
from tests.fakes.knowledge import FakeKnowledge
from tests.fakes.models import FakeModels


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class House:
    """Everything around an assistant."""

    database: Database
    clock: FakeClock
    ledger: Ledger
    live: FakeKnowledge
    owner: Principal
    stranger: Principal
    assistant: Assistant


HouseMaker = Callable[..., Awaitable[House]]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[HouseMaker]:
    """Makes a house with some models; a second one is the first after a restart."""
    async with AsyncExitStack() as stack:

        async def make(*models: TextModel, before: House | None = None) -> House:
            database = Database.at(tmp_path / "home" / "ponant.db")
            database.migrate("ponant")
            clock = before.clock if before else FakeClock()
            ledger = Ledger(database, clock)
            live = before.live if before else FakeKnowledge()
            assistant = Assistant(database, clock, FakeModels(*models), live, ledger)
            stack.callback(database.close)
            stack.callback(ledger.close)
            stack.push_async_callback(assistant.close)
            if before:
                owner, stranger = before.owner, before.stranger
            else:
                first = Accounts(database, clock).ensure_first(None)
                assert first is not None
                owner = first.administrator
                stranger = add_organisation(database, clock, "Strangers")
            return House(database, clock, ledger, live, owner, stranger, assistant)

        yield make


def ask(text: str, **fields: object) -> Ask:
    """A person's message."""
    return Ask(inputs=(Said(role=Role.USER, text=text),), **fields)  # type: ignore[arg-type]


async def events_of(run: Run, after: int = 0) -> list[Event]:
    """All that a run tells, to its end."""
    return [event async for _, event in run.follow(after)]
