"""The first start, and the key that PONANT_ADMIN_KEY names."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ponant.accounts import Accounts, FirstStart, Role
from ponant.kit.errors import SetupError, Unauthorized
from ponant.store import Database
from tests.databases import address
from tests.fakes.accounts import add_person
from tests.fakes.clock import FakeClock

CHOSEN = "a-key-chosen-by-the-operator"
NEXT = "another-key-of-the-operator"


def test_the_first_start_makes_an_administrator_whose_key_works(
    accounts: Accounts, first: FirstStart
) -> None:
    assert first.key is not None
    assert first.key.startswith("pnt_")
    caller = accounts.principal_for_key(first.key)
    assert caller.role is Role.ADMIN
    assert caller.scope == first.administrator.scope == accounts.administrator().scope
    names = accounts.identity(caller)
    assert (names.organisation, names.person) == ("My organisation", "Administrator")


def test_a_later_start_makes_nothing(accounts: Accounts, first: FirstStart) -> None:
    assert accounts.ensure_first(None) is None
    assert accounts.administrator().scope == first.administrator.scope
    assert len(accounts.list_keys(first.administrator)) == 1


def test_before_the_first_start_there_is_no_administrator(accounts: Accounts) -> None:
    with pytest.raises(SetupError, match="ponant serve"):
        accounts.administrator()


def test_a_chosen_key_is_the_administrators_and_is_not_said_again(accounts: Accounts) -> None:
    first = accounts.ensure_first(CHOSEN)
    assert first is not None
    assert first.key is None
    assert accounts.principal_for_key(CHOSEN).role is Role.ADMIN
    assert [key.hint for key in accounts.list_keys(first.administrator)] == [""]


def test_another_value_of_the_setting_takes_the_place_of_the_first(accounts: Accounts) -> None:
    accounts.ensure_first(CHOSEN)
    made = accounts.create_key(accounts.administrator(), "made").key
    accounts.ensure_first(NEXT)
    assert accounts.principal_for_key(NEXT).role is Role.ADMIN
    assert accounts.principal_for_key(made).role is Role.ADMIN
    with pytest.raises(Unauthorized):
        accounts.principal_for_key(CHOSEN)
    accounts.ensure_first(CHOSEN)
    assert accounts.principal_for_key(CHOSEN).role is Role.ADMIN
    with pytest.raises(Unauthorized):
        accounts.principal_for_key(NEXT)


def test_a_start_without_the_setting_leaves_its_key_alone(accounts: Accounts) -> None:
    accounts.ensure_first(CHOSEN)
    accounts.ensure_first(None)
    assert accounts.principal_for_key(CHOSEN).role is Role.ADMIN


def test_the_setting_may_name_a_key_that_the_administrator_has(
    accounts: Accounts, first: FirstStart
) -> None:
    accounts.ensure_first(first.key)
    assert len(accounts.list_keys(first.administrator)) == 1


@pytest.mark.parametrize(
    "key", ["short", "", "fifteen-letters", "with a space in it", "clé-du-serveur-ponant"]
)
def test_a_key_that_is_short_or_fits_no_header_is_refused(accounts: Accounts, key: str) -> None:
    with pytest.raises(SetupError, match="PONANT_ADMIN_KEY"):
        accounts.ensure_first(key)
    with pytest.raises(SetupError, match="Nothing is set up"):
        accounts.administrator()


def test_the_setting_cannot_raise_somebody_elses_key(
    accounts: Accounts, first: FirstStart, database: Database, clock: FakeClock
) -> None:
    member = add_person(database, clock, first.administrator, "Mary", Role.MEMBER)
    theirs = accounts.create_key(member, "hers").key
    lesser = accounts.create_key(first.administrator, "lesser", Role.VIEWER).key
    for key in (theirs, lesser):
        with pytest.raises(SetupError, match="Choose a fresh one"):
            accounts.ensure_first(key)
        assert accounts.principal_for_key(key).role is not Role.ADMIN


def test_starts_at_the_same_time_make_one_organisation(
    database: Database, clock: FakeClock
) -> None:
    def start(_: int) -> FirstStart | None:
        own = Database(address(database))
        try:
            return Accounts(own, clock).ensure_first(None)
        finally:
            own.close()

    with ThreadPoolExecutor(8) as pool:
        made = [first for first in pool.map(start, range(8)) if first is not None]
    assert len(made) == 1
    assert Accounts(database, clock).administrator().scope == made[0].administrator.scope
