"""Fixtures that every test may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.scope_guard import guarding
from tests.server import Server, home_with_models, serving

# The same examples in every run, however long they take; HYPOTHESIS_PROFILE=default seeks others.
settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

_CHECKOUT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see only the settings that they make."""
    for name in list(os.environ):
        if name.startswith("PONANT_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def scope_guard() -> Iterator[None]:
    """No statement of any test may touch rows without saying on whose behalf."""
    with guarding():
        yield


@pytest.fixture(scope="session")
def models_home() -> Path:
    """A home whose ``models`` folder holds what `ponant setup` brings; kept between runs."""
    home = _CHECKOUT / ".models-cache"
    from ponant.hub import install_bundled  # noqa: PLC0415 - heavy, and only model tests need it

    install_bundled(home)
    return home


@pytest.fixture
def home(tmp_path: Path, models_home: Path) -> Path:
    """An empty home with the models linked in."""
    return home_with_models(tmp_path / "home", models_home)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, models_home: Path) -> Iterator[Server]:
    """One server for every test that leaves it as it was found."""
    home = home_with_models(tmp_path_factory.mktemp("server") / "home", models_home)
    with serving(home) as running:
        yield running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: Playwright's loop keeps running, and no other can beside it."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
