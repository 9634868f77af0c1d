"""Look-ups of keys that coroutines share."""

import asyncio
import threading

import pytest

from ponant.accounts import Accounts, FirstStart, Lookups, Principal, Role
from ponant.kit import Clock
from ponant.kit.errors import Unauthorized
from ponant.store import Database
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.anyio


class HeldAccounts(Accounts):
    """Accounts whose look-ups have read, and wait before they tell."""

    calls = 0
    hold: threading.Event | None = None

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock)
        self.read = threading.Event()

    def principal_for_key(self, key: str) -> Principal:
        self.calls += 1
        hold = self.hold
        try:
            return super().principal_for_key(key)
        finally:
            self.read.set()
            if hold is not None:
                hold.wait(20)


@pytest.fixture
def accounts(database: Database, clock: FakeClock) -> HeldAccounts:
    return HeldAccounts(database, clock)


async def test_a_burst_with_one_key_costs_one_look_up(
    accounts: HeldAccounts, first: FirstStart
) -> None:
    lookups = Lookups(accounts)
    found = await asyncio.gather(*(lookups.principal(str(first.key)) for _ in range(50)))
    assert {one.person_id for one in found} == {first.administrator.person_id}
    assert accounts.calls == 1


async def test_an_unknown_key_is_refused_for_all_who_wait(accounts: HeldAccounts) -> None:
    lookups = Lookups(accounts)
    asked = [lookups.principal("pnt_unknown") for _ in range(3)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(one, Unauthorized) for one in found)


async def test_who_asks_after_a_revocation_joins_no_look_up_from_before(
    accounts: HeldAccounts, first: FirstStart
) -> None:
    lookups, made = Lookups(accounts), accounts.create_key(first.administrator, "laptop")
    accounts.hold = hold = threading.Event()
    early = asyncio.create_task(lookups.principal(made.key))
    assert await asyncio.to_thread(accounts.read.wait, 20)
    accounts.hold = None
    accounts.revoke_key(first.administrator, made.info.id)
    with pytest.raises(Unauthorized):
        await lookups.principal(made.key)
    hold.set()
    await asyncio.wait({early})
    with pytest.raises(Unauthorized):  # what the early look-up found is not kept
        await lookups.principal(made.key)


async def test_a_role_counts_at_once(accounts: HeldAccounts, first: FirstStart) -> None:
    lookups, admin = Lookups(accounts), first.administrator
    person = accounts.directory.add_person(admin, "Ada", None, Role.ADMIN)
    key = accounts.issue_key(admin, accounts.directory.act_as(admin, person.id), "hers").key
    assert (await lookups.principal(key)).role is Role.ADMIN
    accounts.directory.set_role(admin, person.id, Role.VIEWER)
    assert (await lookups.principal(key)).role is Role.VIEWER


async def test_a_busy_key_is_looked_up_again_before_it_is_forgotten(
    accounts: HeldAccounts, first: FirstStart
) -> None:
    lookups, now = Lookups(accounts), 5.0
    accounts.recent._now = lambda: now
    await lookups.principal(str(first.key))
    now += 0.7
    accounts.hold = hold = threading.Event()
    assert (await lookups.principal(str(first.key))).key_id is not None  # waits for nobody
    hold.set()
    await asyncio.gather(*lookups._under_way.values())
    now += 0.7
    accounts.hold = None
    assert accounts.known_for_key(str(first.key)) is not None
    assert accounts.calls == 2
