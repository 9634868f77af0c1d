"""``ponant people``, ``ponant groups`` and ``ponant workspaces``, over the database of a home."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ponant.accounts import Accounts, Role
from ponant.cli import groups, people, workspaces
from ponant.kit import SystemClock
from ponant.kit.errors import Conflict, NotFound, Unauthorized
from ponant.store import Database


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PONANT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _run(module: object, *arguments: str) -> Result:
    result = CliRunner().invoke(module.app, list(arguments))  # type: ignore[attr-defined]
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_somebody_is_added_put_into_a_group_and_removed(home: Path) -> None:
    _run(groups, "add", "Finance")
    added = _run(people, "add", "Ada Byron", "--email", "Ada@example.org", "--role", "viewer")
    key = next(line for line in added.output.splitlines() if line.startswith("pnt_"))
    _run(groups, "join", "Finance", "ada@example.org")
    (_, listed) = json.loads(_run(people, "list", "--json").stdout)
    assert (listed["name"], listed["role"], listed["groups"]) == (
        "Ada Byron",
        "viewer",
        ["Finance"],
    )
    (group,) = json.loads(_run(groups, "list", "--json").stdout)
    assert group["members"] == [listed["id"]]
    accounts = Accounts(Database.at(home / "ponant.db"), SystemClock())
    caller = accounts.principal_for_key(key)
    assert (caller.role, "group:Finance" in caller.marks) == (Role.VIEWER, True)
    _run(groups, "leave", "Finance", listed["id"])
    assert "group:Finance" not in accounts.principal_for_key(key).marks
    _run(people, "remove", "ada@example.org")
    with pytest.raises(Unauthorized):
        accounts.principal_for_key(key)
    _run(groups, "remove", "Finance")
    assert json.loads(_run(groups, "list", "--json").stdout) == []


def test_workspaces_have_members_of_their_own(home: Path) -> None:
    _run(workspaces, "add", "Research")
    _run(people, "add", "Ada", "--email", "ada@example.org", "--workspace", "Research")
    there = json.loads(_run(people, "list", "--workspace", "Research", "--json").stdout)
    here = json.loads(_run(people, "list", "--json").stdout)
    assert [one["name"] for one in there] == ["Administrator", "Ada"]
    assert [one["name"] for one in here] == ["Administrator"]
    assert "Research" in _run(workspaces, "list").stdout
    with pytest.raises(Conflict):
        _run(people, "add", "Ada", "--email", "ada@example.org", "--workspace", "Research")
    with pytest.raises(NotFound):
        _run(people, "list", "--workspace", "Nowhere")
    with pytest.raises(NotFound):
        _run(groups, "join", "Nobody", here[0]["id"])
