"""People, workspaces and groups: who may change them, and what they are called in access lists."""

import pytest

from ponant.accounts import Accounts, FirstStart, Principal, Role
from ponant.kit.errors import Conflict, Forbidden, NotFound, Unauthorized, Unprocessable
from ponant.store import Database
from tests.fakes.accounts import add_organisation, key_of
from tests.fakes.clock import FakeClock


def _person(accounts: Accounts, admin: Principal, name: str, role: Role = Role.MEMBER) -> Principal:
    made = accounts.directory.add_person(admin, name, f"{name}@Example.org", role)
    return accounts.directory.act_as(admin, made.id)


def test_somebody_is_called_by_person_address_and_groups(
    accounts: Accounts, first: FirstStart
) -> None:
    admin = first.administrator
    ada = _person(accounts, admin, "ada")
    key = key_of(accounts, ada)
    assert ada.scope.marks == ("email:ada@example.org", f"person:{ada.person_id}")
    accounts.principal_for_key(key)
    group = accounts.directory.add_group(admin, "Finance")
    accounts.directory.join(admin, group.id, ada.person_id)
    accounts.directory.join(admin, "Finance", ada.person_id)  # a second time changes nothing
    assert accounts.known_for_key(key) is None, "what was remembered of the key is forgotten"
    assert "group:Finance" in accounts.principal_for_key(key).marks
    cookie, by_session = accounts.open_session(accounts.create_link(ada))
    assert by_session.marks == accounts.principal_for_key(key).marks
    accounts.directory.leave(admin, "Finance", ada.person_id)
    assert "group:Finance" not in accounts.principal_for_key(key).marks
    assert "group:Finance" not in accounts.principal_for_session(cookie).marks


def test_a_removed_group_lets_nobody_in(accounts: Accounts, first: FirstStart) -> None:
    admin = first.administrator
    accounts.directory.add_group(admin, "Board")
    accounts.directory.join(admin, "Board", admin.person_id)
    assert [one.name for one in accounts.directory.groups(admin)] == ["Board"]
    with pytest.raises(Conflict):
        accounts.directory.add_group(admin, " Board ")
    accounts.directory.remove_group(admin, "Board")
    assert accounts.directory.act_as(admin, admin.person_id).marks == (f"person:{admin.person_id}",)
    with pytest.raises(NotFound):
        accounts.directory.join(admin, "Board", admin.person_id)


def test_who_leaves_a_workspace_has_no_key_to_it(accounts: Accounts, first: FirstStart) -> None:
    admin = first.administrator
    ada = _person(accounts, admin, "ada")
    key = key_of(accounts, ada)
    other = accounts.directory.add_workspace(admin, "Second")
    there = accounts.directory.in_workspace(admin, other.id)
    moved = accounts.directory.add_person(there, "ada", "ada@example.org", Role.VIEWER)
    assert moved.id == ada.person_id
    accounts.directory.remove_person(admin, ada.person_id)
    with pytest.raises(Unauthorized):
        accounts.principal_for_key(key)
    assert accounts.directory.act_as(there, moved.id).workspace_id == other.id


def test_only_the_first_workspace_governs_the_organisation(
    accounts: Accounts, first: FirstStart
) -> None:
    admin = first.administrator
    other = accounts.directory.add_workspace(admin, "Second")
    there = accounts.directory.in_workspace(admin, other.id)
    group = accounts.directory.add_group(admin, "Finance")
    ada = _person(accounts, admin, "ada", Role.ADMIN)
    local = accounts.directory.add_person(there, "Ada", "ada@example.org", Role.ADMIN)
    governor_elsewhere = accounts.directory.act_as(there, local.id)
    directory = accounts.directory
    for refused in (
        lambda: directory.add_group(governor_elsewhere, "Mine"),
        lambda: directory.join(governor_elsewhere, group.id, local.id),
        lambda: directory.remove_group(governor_elsewhere, group.id),
        lambda: directory.add_workspace(governor_elsewhere, "Third"),
        lambda: directory.add_person(governor_elsewhere, "New", "new@example.org", Role.MEMBER),
        lambda: directory.audit(governor_elsewhere),
    ):
        with pytest.raises(Forbidden):
            refused()
    assert directory.join(ada, group.id, local.id).members == (local.id,)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER])
def test_nobody_below_an_administrator_changes_people(
    accounts: Accounts, first: FirstStart, role: Role
) -> None:
    one = _person(accounts, first.administrator, "ada", role)
    for refused in (
        lambda: accounts.directory.people(one),
        lambda: accounts.directory.groups(one),
        lambda: accounts.directory.add_person(one, "x", None, Role.ADMIN),
        lambda: accounts.directory.set_role(one, one.person_id, Role.ADMIN),
        lambda: accounts.directory.add_group(one, "x"),
        lambda: accounts.directory.act_as(one, first.administrator.person_id),
        lambda: accounts.issue_key(one, first.administrator, "x"),
    ):
        with pytest.raises(Forbidden):
            refused()


def test_a_workspace_keeps_an_administrator(accounts: Accounts, first: FirstStart) -> None:
    admin = first.administrator
    with pytest.raises(Conflict):
        accounts.directory.remove_person(admin, admin.person_id)
    with pytest.raises(Conflict):
        accounts.directory.set_role(admin, admin.person_id, Role.VIEWER)
    ada = _person(accounts, admin, "ada", Role.ADMIN)
    assert accounts.directory.set_role(ada, admin.person_id, Role.VIEWER).role is Role.VIEWER


def test_another_organisation_sees_and_changes_nothing(
    accounts: Accounts, first: FirstStart, database: Database, clock: FakeClock
) -> None:
    admin = first.administrator
    group = accounts.directory.add_group(admin, "Finance")
    stranger = add_organisation(database, clock, "Elsewhere")
    assert accounts.directory.groups(stranger) == []
    for missing in (
        lambda: accounts.directory.join(stranger, group.id, stranger.person_id),
        lambda: accounts.directory.remove_group(stranger, group.id),
        lambda: accounts.directory.act_as(stranger, admin.person_id),
    ):
        with pytest.raises(NotFound):
            missing()
    own = accounts.directory.add_group(stranger, "Finance")
    with pytest.raises(NotFound):
        accounts.directory.join(stranger, own.id, admin.person_id)


def test_what_was_changed_is_written_down(accounts: Accounts, first: FirstStart) -> None:
    admin = first.administrator
    ada = _person(accounts, admin, "ada")
    accounts.directory.add_group(admin, "Finance")
    accounts.directory.join(admin, "Finance", ada.person_id)
    actions = [one.action for one in accounts.directory.audit(admin)]
    assert actions == ["group.join", "group.add", "person.add"]
    assert accounts.directory.audit(admin, 1)[0].detail == {
        "name": "Finance",
        "person_id": ada.person_id,
    }


@pytest.mark.parametrize("email", ["nobody", "@example.org", "a@", "a\n@b.org"])
def test_an_address_must_be_one(accounts: Accounts, first: FirstStart, email: str) -> None:
    with pytest.raises(Unprocessable):
        accounts.directory.add_person(first.administrator, "ada", email, Role.MEMBER)
