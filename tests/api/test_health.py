"""What `/health` says while not everything is ready."""

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import pytest

from ponant.api.health import health
from ponant.api.platform import Platform
from ponant.kit.errors import Unavailable


@dataclass
class FakeModels:
    starting: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    def waiting(self) -> list[str]:
        return [*self.starting, *self.broken]

    def failed(self) -> list[str]:
        return list(self.broken)


@dataclass
class FakeLive:
    ready: bool = True
    missing: str = ""


@dataclass
class FakePlatform:
    models: FakeModels
    live: FakeLive


def _asked(models: FakeModels, live: FakeLive) -> dict[str, Any]:
    return asyncio.run(health(cast("Platform", FakePlatform(models, live))))


def test_all_is_well() -> None:
    assert _asked(FakeModels(), FakeLive()) == {"status": "ok"}


@pytest.mark.parametrize(
    ("models", "live", "names"),
    [
        (FakeModels(starting=("starter", "embed")), FakeLive(), "starter, embed"),
        (FakeModels(), FakeLive(ready=False), "live knowledge"),
    ],
    ids=["models", "live"],
)
def test_a_slow_start_is_told_to_wait_for(models: FakeModels, live: FakeLive, names: str) -> None:
    with pytest.raises(Unavailable, match=f"{names} still starting. Try again") as told:
        _asked(models, live)
    assert told.value.retry_after == 1


@pytest.mark.parametrize(
    ("models", "live", "names"),
    [
        (FakeModels(starting=("embed",), broken=("starter",)), FakeLive(), "starter"),
        (FakeModels(), FakeLive(ready=False, missing="It cannot."), "live knowledge"),
    ],
    ids=["models", "live"],
)
def test_a_failed_start_is_told_with_what_to_do(
    models: FakeModels, live: FakeLive, names: str
) -> None:
    with pytest.raises(Unavailable, match=f"{names} cannot start.*log says why") as told:
        _asked(models, live)
    assert "ponant doctor" in told.value.message
    assert told.value.retry_after is not None
    assert told.value.retry_after > 1
