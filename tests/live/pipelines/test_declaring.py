"""`from ponant import live`: what it offers, and how little it loads."""

import pkgutil
import subprocess
import sys
from datetime import timedelta

import pytest

from ponant import live
from ponant.kit.errors import BadRequest
from ponant.live.pipelines.declaring import seconds
from tests.patience import PATIENCE

_HEAVY = ("confluent_kafka", "duckdb", "dulwich", "kreuzberg", "obstore", "psycopg", "usearch")


def test_every_name_is_there_and_sorted() -> None:
    assert live.__all__ == sorted(live.__all__)
    for name in live.__all__:
        assert getattr(live, name) is not None
    with pytest.raises(AttributeError):
        live.no_such_thing  # noqa: B018


def test_no_module_takes_the_place_of_a_name() -> None:
    """Importing ``ponant.live.folder`` would make ``live.folder`` a module."""
    modules = {module.name for module in pkgutil.iter_modules(live.__path__)}
    assert not modules & set(live.__all__)


def test_declaring_loads_no_engine_and_no_client() -> None:
    code = (
        "import sys; from ponant import live; live.folder, live.transform, live.table, live.kafka;"
        f"print([name for name in {_HEAVY} if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert found.stdout.strip() == "[]"


def test_the_package_alone_loads_nothing() -> None:
    code = "import sys, ponant.live; print([n for n in ('numpy', 'zmq') if n in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert found.stdout.strip() == "[]"


def test_durations_are_numbers_words_or_timedeltas() -> None:
    assert [seconds(one) for one in (10, "10s", "250ms", "5m", "2h", timedelta(days=1))] == [
        10,
        10,
        0.25,
        300,
        7200,
        86400,
    ]
    for wrong in ("", "ten", "5 fortnights"):
        with pytest.raises(BadRequest):
            seconds(wrong)
