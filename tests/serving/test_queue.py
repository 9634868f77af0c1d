"""As many requests wait as may: the next is told when to come again."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from ponant.kit.errors import TooManyRequests
from ponant.serving import Upstreams
from ponant.serving.port import TextModel
from ponant.store import Scope
from tests.server import Server, serving
from tests.serving.asking import Reply, chat
from tests.serving.conftest import models_in

pytestmark = pytest.mark.anyio

_LONG = "a" * 4000
_SLOW = 200  # alternatives for each token: echo then takes far longer than others take to arrive


async def at_once(
    model: TextModel, requests: Iterable[dict[str, Any]]
) -> list[Reply | BaseException]:
    """What came of requests that were made at the same time."""
    await chat(model, "be ready")
    asked = [chat(model, _LONG, max_tokens=4000, logprobs=_SLOW, **fields) for fields in requests]
    return list(await asyncio.gather(*asked, return_exceptions=True))


def parted(
    found: Iterable[Reply | BaseException],
) -> tuple[list[Reply], list[TooManyRequests]]:
    """Those who were served and those who were refused; who came first is for chance."""
    kept = list(found)
    served = [it for it in kept if isinstance(it, Reply)]
    refused = [it for it in kept if isinstance(it, TooManyRequests)]
    assert len(served) + len(refused) == len(kept)
    return served, refused


async def test_a_full_queue_says_when_to_come_again(
    tmp_path: Path, upstreams: Upstreams, scope: Scope
) -> None:
    async with models_in(tmp_path, upstreams, queue=2) as models:
        found = await at_once(await models.get("echo", scope), [{}] * 4)
    served, refused = parted(found)
    assert [it.text for it in served] == [_LONG] * 2
    for error in refused:
        assert error.retry_after is not None
        assert error.retry_after >= 1
        assert "2 requests wait" in error.message
        assert "Try again in" in error.message


async def test_one_workspace_leaves_room_for_another(
    tmp_path: Path, upstreams: Upstreams, scope: Scope
) -> None:
    async with models_in(tmp_path, upstreams, queue=4) as models:
        owners = [{"owner": name} for name in ("one", "one", "one", "other")]
        found = await at_once(await models.get("echo", scope), owners)
    _, [refused] = parted(found[:3])
    assert "this workspace" in refused.message
    assert isinstance(found[3], Reply)


async def test_tokens_that_wait_are_bounded_too(
    tmp_path: Path, upstreams: Upstreams, scope: Scope
) -> None:
    async with models_in(tmp_path, upstreams, queue_tokens=6000) as models:
        found = await at_once(await models.get("echo", scope), [{}] * 2)
    _, [refused] = parted(found)
    assert "tokens wait" in refused.message


@pytest.mark.model
def test_clients_get_429_and_a_time(home: Path) -> None:
    with serving(home, {"PONANT_QUEUE": "2"}) as server, ThreadPoolExecutor(8) as threads:
        post(server, "be ready", stream=False)
        answers = list(threads.map(lambda n: post(server, _LONG, stream=n % 2 == 0), range(8)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in refused:
        assert int(answer.headers["Retry-After"]) >= 1
        told = answer.json()
        assert told["code"] == told["error"]["code"] == "rate_limit_exceeded"
        assert told["raw_status_code"] == 429
        assert f"Try again in {answer.headers['Retry-After']} s." in told["message"]


def post(server: Server, text: str, *, stream: bool) -> httpx.Response:
    body = {
        "model": "echo",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 4000,
        "stream": stream,
    }
    with server.client() as client:
        return client.post("/v1/chat/completions", json=body)
