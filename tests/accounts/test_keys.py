"""API keys: made, listed, revoked, and stored so that nobody can read them back."""

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import event

from ponant.accounts import Accounts, FirstStart, Principal, Role
from ponant.kit.errors import Forbidden, NotFound, Unauthorized, Unprocessable
from ponant.store import Database
from tests.databases import address
from tests.fakes.accounts import add_organisation, add_person, key_of
from tests.fakes.clock import START, FakeClock


@pytest.fixture
def admin(first: FirstStart) -> Principal:
    return first.administrator


@pytest.fixture
def mary(database: Database, clock: FakeClock, admin: Principal) -> Principal:
    return add_person(database, clock, admin, "Mary", Role.MEMBER)


def test_a_key_speaks_for_who_made_it(accounts: Accounts, mary: Principal) -> None:
    made = accounts.create_key(mary, " laptop ")
    caller = accounts.principal_for_key(made.key)
    assert (caller.person_id, caller.name, caller.role) == (mary.person_id, "Mary", Role.MEMBER)
    assert caller.key_id == made.info.id
    assert accounts.identity(caller).key == made.info.name == "laptop"
    assert made.key.endswith(made.info.hint)


def test_a_key_may_have_less_than_its_persons_role_and_never_more(
    accounts: Accounts, admin: Principal, mary: Principal
) -> None:
    viewing = accounts.create_key(admin, "board", Role.VIEWER).key
    assert accounts.principal_for_key(viewing).role is Role.VIEWER
    with pytest.raises(Forbidden):
        accounts.create_key(mary, "more", Role.ADMIN)


def test_a_viewer_makes_no_keys(accounts: Accounts, admin: Principal) -> None:
    viewer = accounts.principal_for_key(accounts.create_key(admin, "board", Role.VIEWER).key)
    with pytest.raises(Forbidden):
        accounts.create_key(viewer, "mine")


@pytest.mark.parametrize("name", ["", "  ", "n" * 101])
def test_a_key_needs_a_name(accounts: Accounts, admin: Principal, name: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        accounts.create_key(admin, name)
    assert refused.value.param == "name"


def test_an_administrator_lists_all_keys_and_a_member_their_own(
    accounts: Accounts, admin: Principal, mary: Principal
) -> None:
    accounts.create_key(mary, "laptop")
    assert [key.name for key in accounts.list_keys(admin)] == ["first start", "laptop"]
    assert [key.name for key in accounts.list_keys(mary)] == ["laptop"]


def test_a_revoked_key_opens_nothing_and_stays_listed(
    accounts: Accounts, mary: Principal, clock: FakeClock
) -> None:
    made = accounts.create_key(mary, "laptop")
    accounts.revoke_key(mary, made.info.id)
    clock.move(timedelta(days=1))
    accounts.revoke_key(mary, made.info.id)
    with pytest.raises(Unauthorized):
        accounts.principal_for_key(made.key)
    assert [key.revoked_at for key in accounts.list_keys(mary)] == [START]


def test_a_member_revokes_their_own_keys_alone(
    accounts: Accounts, admin: Principal, mary: Principal
) -> None:
    admins, marys = accounts.list_keys(admin)[0], accounts.create_key(mary, "laptop")
    with pytest.raises(NotFound):
        accounts.revoke_key(mary, admins.id)
    accounts.revoke_key(admin, marys.info.id)
    with pytest.raises(Unauthorized):
        accounts.principal_for_key(marys.key)


def test_a_stranger_can_neither_list_nor_revoke(
    accounts: Accounts, database: Database, clock: FakeClock, first: FirstStart
) -> None:
    stranger = add_organisation(database, clock, "Elsewhere")
    assert accounts.list_keys(stranger) == []
    ours = accounts.list_keys(first.administrator)[0]
    with pytest.raises(NotFound):
        accounts.revoke_key(stranger, ours.id)
    assert first.key is not None
    assert accounts.principal_for_key(first.key).key_id == ours.id


def test_every_wrong_key_gets_the_same_answer_after_the_same_statements(
    accounts: Accounts, database: Database, mary: Principal
) -> None:
    revoked = accounts.create_key(mary, "laptop")
    accounts.revoke_key(mary, revoked.info.id)
    statements: list[str] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _u, statement, *_: statements.append(statement),
    )
    seen = set()
    for key in (revoked.key, "pnt_" + "x" * 43, "", "ключ", "\ud800"):
        statements.clear()
        with pytest.raises(Unauthorized) as refused:
            accounts.principal_for_key(key)
        seen.add((refused.value.message, refused.value.code, tuple(statements)))
    assert len(seen) == 1


def test_no_secret_is_in_the_database(
    accounts: Accounts, database: Database, first: FirstStart
) -> None:
    key, token, other = (
        key_of(accounts, first.administrator),
        accounts.create_link(),
        accounts.create_link(),
    )
    cookie, _ = accounts.open_session(other)
    accounts.ensure_first("a-key-chosen-by-the-operator")
    stored = _rows(database) if database.is_server else _bytes(database)
    for secret in (first.key, key, token, other, cookie, "a-key-chosen-by-the-operator"):
        assert secret is not None
        assert secret.encode() not in stored


def _bytes(database: Database) -> bytes:
    path = database.engine.url.database or ""
    return b"".join(Path(path + suffix).read_bytes() for suffix in ("", "-wal"))


def _rows(database: Database) -> bytes:
    with psycopg.connect(address(database)) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'")
        rows = [
            connection.execute(sql.SQL("select t::text from {} t").format(sql.Identifier(name)))
            for (name,) in tables.fetchall()
        ]
        return "\n".join(row for found in rows for (row,) in found).encode()


def test_the_last_use_is_written_once_an_hour(
    accounts: Accounts, database: Database, mary: Principal, clock: FakeClock
) -> None:
    key = accounts.create_key(mary, "laptop").key
    writes: list[str] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _u, statement, *_: (
            writes.append(statement) if statement.startswith("UPDATE") else None
        ),
    )
    for _ in range(4):
        accounts.principal_for_key(key)
        clock.move(timedelta(minutes=20))
    assert len(writes) == 2
    assert accounts.list_keys(mary)[0].last_used_at == START + timedelta(minutes=60)
