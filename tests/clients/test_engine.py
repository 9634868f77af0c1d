"""The native engine behind the API: what tenants tell each other, and clients that go away."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from ponant.accounts import Accounts
from ponant.kit import SystemClock
from ponant.store import Database
from tests.fakes.accounts import add_organisation, key_of
from tests.patience import PATIENCE
from tests.server import Server

pytestmark = pytest.mark.model

_LONG = 3500  # tokens, which nobody waits for


@contextmanager
def _newcomer(server: Server) -> Iterator[httpx.Client]:
    """An administrator of a new organisation of their own."""
    database = Database.at(server.home / "ponant.db")
    try:
        person = add_organisation(database, SystemClock(), "Elsewhere")
        key = key_of(Accounts(database, SystemClock()), person)
    finally:
        database.close()
    with server.client(key) as client:
        yield client


@pytest.fixture
def stranger(server: Server) -> Iterator[httpx.Client]:
    with _newcomer(server) as client:
        yield client


def _asked(text: str) -> dict[str, Any]:
    return {
        "model": "starter",
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
        "max_tokens": 4,
    }


def test_nobody_learns_what_another_organisation_asked(
    server: Server, stranger: httpx.Client
) -> None:
    def cached(client: httpx.Client) -> int:
        question = "The merger is signed on the ninth of May, and nobody may know it yet. " * 5
        usage = client.post("/v1/chat/completions", json=_asked(question)).json()["usage"]
        return int(usage["prompt_tokens_details"]["cached_tokens"])

    with _newcomer(server) as other:
        assert cached(stranger) == 0
        assert cached(stranger) > 0
        assert cached(other) == 0
        assert cached(other) == cached(stranger)


@pytest.mark.parametrize("streams", [True, False])
def test_an_answer_that_its_client_left_is_not_written_on(
    server: Server, stranger: httpx.Client, streams: bool
) -> None:
    """Its usage row comes at once, and counts what was made until then."""
    lengths = {"max_tokens": _LONG, "min_tokens": _LONG}
    asked = {"model": "starter", "prompt": "1, 2, 3,", "stream": streams, **lengths}
    stranger.post("/v1/chat/completions", json=_asked("Be ready."))
    before = _used(stranger)
    # A busy server may hear of the request only when its client has left: the next waits longer.
    for seconds in (1, 5, 10):
        if streams:
            with stranger.stream("POST", "/v1/completions", json=asked) as answer:
                assert next(answer.iter_lines()).startswith("data: {")
        else:
            patience = httpx.Timeout(PATIENCE, read=seconds)
            with pytest.raises(httpx.ReadTimeout):
                stranger.post("/v1/completions", json=asked, timeout=patience)
        requests, tokens = _used_since(before, stranger)
        if requests:
            break
    assert requests
    assert tokens < requests * _LONG


def _used_since(before: tuple[int, int], client: httpx.Client) -> tuple[int, int]:
    """What was used since, as soon as there is something, or in some seconds nothing."""
    for _ in range(100):
        requests, tokens = _used(client)
        if requests > before[0]:
            return requests - before[0], tokens - before[1]
        time.sleep(0.05)
    return 0, 0


def _used(client: httpx.Client) -> tuple[int, int]:
    """Requests, and tokens of answers."""
    rows = client.get("/v1/admin/usage", params={"by": "model"}).json()["data"]
    return (
        sum(row["requests"] for row in rows),
        sum(row["completion_tokens"] for row in rows),
    )
