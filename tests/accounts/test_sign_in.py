"""Sign-in links and the sessions that they open."""

from datetime import timedelta

import pytest

from ponant.accounts import Accounts, FirstStart, Role
from ponant.kit.errors import Unauthorized
from ponant.store import Database
from tests.fakes.accounts import add_person
from tests.fakes.clock import FakeClock


def test_a_link_opens_one_session_for_the_administrator(
    accounts: Accounts, first: FirstStart
) -> None:
    token = accounts.create_link()
    cookie, caller = accounts.open_session(token)
    assert caller.scope == first.administrator.scope
    assert accounts.principal_for_session(cookie) == caller
    assert caller.session_id is not None
    with pytest.raises(Unauthorized, match="ponant link"):
        accounts.open_session(token)


def test_a_link_may_be_for_somebody_else(
    accounts: Accounts, first: FirstStart, database: Database, clock: FakeClock
) -> None:
    mary = add_person(database, clock, first.administrator, "Mary", Role.MEMBER)
    _, caller = accounts.open_session(accounts.create_link(mary))
    assert (caller.name, caller.role) == ("Mary", Role.MEMBER)


def test_a_link_lasts_fifteen_minutes(
    accounts: Accounts, first: FirstStart, clock: FakeClock
) -> None:
    early, late = accounts.create_link(), accounts.create_link()
    clock.move(timedelta(minutes=14, seconds=59))
    accounts.open_session(early)
    clock.move(timedelta(seconds=1))
    with pytest.raises(Unauthorized):
        accounts.open_session(late)


def test_a_session_lasts_thirty_days(
    accounts: Accounts, first: FirstStart, clock: FakeClock
) -> None:
    cookie, _ = accounts.open_session(accounts.create_link())
    clock.move(timedelta(days=30) - timedelta(seconds=1))
    accounts.principal_for_session(cookie)
    clock.move(timedelta(seconds=1))
    with pytest.raises(Unauthorized):
        accounts.principal_for_session(cookie)


def test_a_closed_session_opens_nothing(accounts: Accounts, first: FirstStart) -> None:
    cookie, _ = accounts.open_session(accounts.create_link())
    kept, _ = accounts.open_session(accounts.create_link())
    accounts.close_session(cookie)
    accounts.close_session(cookie)
    with pytest.raises(Unauthorized):
        accounts.principal_for_session(cookie)
    accounts.principal_for_session(kept)


def test_a_key_is_no_cookie_and_a_cookie_no_key(accounts: Accounts, first: FirstStart) -> None:
    cookie, _ = accounts.open_session(accounts.create_link())
    assert first.key is not None
    with pytest.raises(Unauthorized):
        accounts.principal_for_key(cookie)
    with pytest.raises(Unauthorized):
        accounts.principal_for_session(first.key)
