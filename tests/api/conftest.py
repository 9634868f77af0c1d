"""An application of the routes that need no model, over a database of its own."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from ponant.accounts import Accounts, Lookups, Principal
from ponant.api import identity, keys, session, usage
from ponant.api.errors import install_error_handlers
from ponant.api.platform import Platform
from ponant.api.security import SecurityMiddleware
from ponant.billing import Ledger
from ponant.kit import Settings
from ponant.store import Database
from tests.fakes.clock import FakeClock

BASE_URL = "http://127.0.0.1:8000"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Platform]:
    """The services that these routes use, and no others."""
    database = Database.at(tmp_path / "home" / "ponant.db")
    database.migrate("ponant")
    clock = FakeClock()
    ledger, accounts = Ledger(database, clock), Accounts(database, clock)
    yield cast(
        "Platform",
        SimpleNamespace(
            settings=Settings(home=tmp_path / "home"),
            clock=clock,
            database=database,
            accounts=accounts,
            lookups=Lookups(accounts),
            ledger=ledger,
        ),
    )
    ledger.close()
    database.close()


@pytest.fixture
def admin(services: Platform) -> Principal:
    first = services.accounts.ensure_first(None)
    assert first is not None
    return first.administrator


@pytest.fixture
def app(services: Platform) -> FastAPI:
    return make_app(services, services.settings)


@pytest.fixture
def nobody(app: FastAPI) -> TestClient:
    """A client without a key."""
    return TestClient(app, base_url=BASE_URL)


@pytest.fixture
def client(app: FastAPI, services: Platform, admin: Principal) -> TestClient:
    """A client with an administrator's key."""
    return with_key(app, services.accounts.create_key(admin, "test").key)


def make_app(services: Platform, settings: Settings) -> FastAPI:
    app = FastAPI()
    app.state.platform = services
    install_error_handlers(app)
    for module in (keys, session, identity, usage):
        app.include_router(module.router)
    app.add_middleware(SecurityMiddleware, settings=settings)
    return app


def with_key(app: FastAPI, key: str) -> TestClient:
    return TestClient(app, base_url=BASE_URL, headers={"Authorization": f"Bearer {key}"})
