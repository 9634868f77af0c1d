"""Watches over live knowledge in the test's own process, with a clock that a test moves."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from ponant.accounts import Accounts, Principal
from ponant.assistant.grounding import Judge
from ponant.assistant.watches import Watches
from ponant.billing import Ledger
from ponant.kit.network import Network
from ponant.kit.sealing import Seal
from ponant.live.port import Embedder
from ponant.serving.port import TextModel
from ponant.store import Database
from tests.fakes.clock import FakeClock
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.extractor import Extractor
from tests.fakes.live import LocalLive, local_live
from tests.fakes.models import FakeModels


@dataclass
class Post:
    """Everything around watches."""

    home: Path
    database: Database
    clock: FakeClock
    accounts: Accounts
    ledger: Ledger
    live: LocalLive
    model: Extractor
    watches: Watches
    owner: Principal

    def again(self) -> Watches:
        """Watches after a restart of the server."""
        return watches_of(self, self.model)


async def no_judge() -> Judge:
    return Judge(None)


def watches_of(post: Post, *models: TextModel, network: Network | None = None) -> Watches:
    return Watches(
        post.database,
        Seal(post.home),
        post.clock,
        FakeModels(*models),
        post.live,
        post.ledger,
        post.accounts,
        no_judge,
        network,
    )


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    async with AsyncExitStack() as stack:
        yield await make_post(tmp_path, stack)


async def make_post(folder: Path, stack: AsyncExitStack, embedder: Embedder | None = None) -> Post:
    """Watches over a home of their own, until ``stack`` is closed."""
    home = folder / "home"
    database = Database.at(home / "ponant.db")
    stack.callback(database.close)
    database.migrate("ponant")
    clock = FakeClock()
    ledger = Ledger(database, clock)
    stack.callback(ledger.close)
    accounts = Accounts(database, clock)
    first = accounts.ensure_first(None)
    assert first is not None
    live = await stack.enter_async_context(
        local_live(home, embedder or FakeEmbedder(dimension=1024))
    )
    model = Extractor()
    watches = Watches(
        database, Seal(home), clock, FakeModels(model), live, ledger, accounts, no_judge
    )
    await watches.load()
    return Post(home, database, clock, accounts, ledger, live, model, watches, first.administrator)


@pytest.fixture
async def library(post: Post) -> str:
    made = await post.live.create_library(post.owner.scope, "Handbook")
    await post.live.write(
        post.owner.scope, made.id, "desk.md", "# Desk\n\nThe reception desk opens at 08:30.\n"
    )
    await post.live.write(post.owner.scope, made.id, "cats.md", "# Cats\n\nCats sleep by day.\n")
    return str(made.id)
