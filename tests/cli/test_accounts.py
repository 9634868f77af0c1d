"""``ponant keys``, ``ponant link`` and ``ponant usage``, over the database of a home."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ponant.accounts import Accounts, Role
from ponant.billing import Ledger, usage_event
from ponant.cli import keys, link, usage
from ponant.engine import Usage
from ponant.kit import PonantError, SystemClock
from ponant.kit.errors import NotFound, Unauthorized
from ponant.store import Database

Run = Callable[..., Result]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.at(tmp_path / "home" / "ponant.db")
    database.migrate("ponant")
    yield database
    database.close()


@pytest.fixture
def accounts(database: Database) -> Accounts:
    accounts = Accounts(database, SystemClock())
    accounts.ensure_first(None)
    return accounts


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command over the home of this test; an error passes through."""
    monkeypatch.setenv("PONANT_HOME", str(tmp_path / "home"))
    app = typer.Typer()
    app.add_typer(keys.app, name="keys")
    app.command("link")(link.link)
    app.command("usage")(usage.usage)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments), catch_exceptions=False)

    return run


def test_a_key_is_printed_once_listed_and_revoked(run: Run, accounts: Accounts) -> None:
    made = run("keys", "create", "laptop")
    key = made.stdout.strip()
    assert accounts.principal_for_key(key).role is Role.MEMBER
    listed = run("keys", "list")
    assert "laptop" in listed.stdout
    assert key not in listed.stdout
    (row,) = [
        row for row in json.loads(run("keys", "list", "--json").stdout) if row["name"] == "laptop"
    ]
    assert row["id"] in made.stderr
    run("keys", "revoke", row["id"])
    with pytest.raises(Unauthorized):
        accounts.principal_for_key(key)


def test_a_key_may_be_an_administrators(run: Run, accounts: Accounts) -> None:
    made = json.loads(run("keys", "create", "deploy", "--role", "admin", "--json").stdout)[0]
    assert accounts.principal_for_key(made["key"]).role is Role.ADMIN
    assert made["info"]["name"] == "deploy"


def test_an_unknown_key_is_named(run: Run, accounts: Accounts) -> None:
    with pytest.raises(NotFound, match="key_nothing"):
        run("keys", "revoke", "key_nothing")


def test_a_link_signs_in(run: Run, accounts: Accounts) -> None:
    printed = run("link")
    address, _, token = printed.stdout.strip().partition("#token=")
    assert address == "http://127.0.0.1:8000/sign-in"
    _, caller = accounts.open_session(token)
    assert caller.role is Role.ADMIN
    assert "ponant serve" in printed.stderr


def test_before_the_first_start_a_link_is_the_first_start(run: Run, database: Database) -> None:
    printed = run("link")
    accounts = Accounts(database, SystemClock())
    key = printed.stderr.split("shown this once: ")[1].split()[0]
    assert accounts.principal_for_key(key).role is Role.ADMIN


def test_usage_is_summed_by_day_model_and_key(
    run: Run, accounts: Accounts, database: Database
) -> None:
    caller = accounts.principal_for_key(accounts.create_key(accounts.administrator(), "laptop").key)
    ledger = Ledger(database, SystemClock())
    now = datetime.now(UTC) - timedelta(minutes=1)
    for days, tokens in ((0, 1200), (0, 34), (40, 5)):
        used = Usage(prompt_tokens=tokens, completion_tokens=2)
        ledger.record(usage_event(caller, "starter", used, now - timedelta(days=days)))
    ledger.close()
    assert "1,234" in run("usage").stdout
    assert "laptop" in run("usage", "--by", "key").stdout
    since = f"{now - timedelta(days=50):%Y-%m-%d}"
    rows = json.loads(run("usage", "--since", since, "--by", "model", "--json").stdout)
    assert [(row["group"], row["requests"], row["prompt_tokens"]) for row in rows] == [
        ("starter", 3, 1239)
    ]


@pytest.mark.parametrize("arguments", [("usage", "--since", "yesterday"), ("keys", "create")])
def test_a_command_that_makes_no_sense_says_how_to(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_setting_that_does_not_fit_is_a_sentence(
    run: Run, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PONANT_ADMIN_KEY", "short")
    with pytest.raises(PonantError, match="at least 16"):
        run("keys", "list")
