"""One process owns what a PostgreSQL database knows, and notices when it no longer does."""

import threading
from pathlib import Path

import pytest

from ponant.kit.errors import SetupError
from ponant.live import storage
from tests.patience import PATIENCE
from tests.servers import postgres


def _never() -> None:
    raise AssertionError


def test_a_second_owner_is_refused_until_the_first_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_WAIT_SECONDS", 0.0)
    address = postgres.shared().fresh()
    first, second = (storage.opened(tmp_path, address) for _ in range(2))
    with storage.owned(first, _never):
        with (
            pytest.raises(SetupError, match="Another Ponant owns"),
            storage.owned(second, _never),
        ):
            pass
    monkeypatch.undo()  # the server may take a moment to see that a connection ended
    with storage.owned(second, _never):
        pass
    first.close()
    second.close()


def test_an_owner_is_told_when_the_server_ends(tmp_path: Path) -> None:
    lost = threading.Event()
    with postgres.running() as server:
        database = storage.opened(tmp_path, server.fresh())
        with storage.owned(database, lost.set):
            server.stop()
            assert lost.wait(PATIENCE)
        database.close()


def test_a_file_needs_no_lock_beside_its_homes(tmp_path: Path) -> None:
    database = storage.opened(tmp_path)
    with storage.owned(database, _never):
        assert not database.is_server
    database.close()
