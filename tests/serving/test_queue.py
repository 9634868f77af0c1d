"""As many requests wait as may: the next is told when to come again."""

from pathlib import Path

import httpx
import pytest

from ponant.kit.errors import TooManyRequests
from ponant.serving import Upstreams
from ponant.store import Scope
from tests.server import serving
from tests.serving.asking import chat, chat_request
from tests.serving.conftest import models_in

pytestmark = pytest.mark.anyio

_LONG = "a" * 7000


async def test_a_full_queue_says_when_to_come_again(
    tmp_path: Path, upstreams: Upstreams, scope: Scope
) -> None:
    async with models_in(tmp_path, upstreams, queue=1) as models:
        model = await models.get("echo", scope)
        first = model.chat(chat_request(_LONG, max_tokens=None))
        await anext(first)
        with pytest.raises(TooManyRequests, match="Try again in") as told:
            await chat(model, "me, too")
        assert told.value.retry_after is not None
        assert told.value.retry_after >= 1
        await first.aclose()


async def test_one_workspace_leaves_room_for_another(
    tmp_path: Path, upstreams: Upstreams, scope: Scope
) -> None:
    async with models_in(tmp_path, upstreams, queue=2) as models:
        model = await models.get("echo", scope)
        first = model.chat(chat_request(_LONG, max_tokens=None, owner="one"))
        await anext(first)
        with pytest.raises(TooManyRequests, match="this workspace"):
            await chat(model, "me, too", owner="one")
        assert (await chat(model, "hello", owner="other")).text == "hello"
        await first.aclose()


async def test_tokens_that_wait_are_bounded_too(
    tmp_path: Path, upstreams: Upstreams, scope: Scope
) -> None:
    async with models_in(tmp_path, upstreams, queue_tokens=7100) as models:
        model = await models.get("echo", scope)
        first = model.chat(chat_request(_LONG, max_tokens=None))
        await anext(first)
        with pytest.raises(TooManyRequests, match="tokens wait"):
            await chat(model, "b" * 200)
        await first.aclose()


@pytest.mark.model
def test_clients_get_429_and_a_time(home: Path) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": _LONG}]}
    with serving(home, {"PONANT_QUEUE": "1"}) as server, server.client() as client:
        with client.stream("POST", "/v1/chat/completions", json=body | {"stream": True}) as answer:
            next(answer.iter_lines())
            for stream in (False, True):
                _check_refusal(client.post("/v1/chat/completions", json=body | {"stream": stream}))


def _check_refusal(refused: httpx.Response) -> None:
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    told = refused.json()
    assert told["code"] == told["error"]["code"] == "rate_limit_exceeded"
    assert told["raw_status_code"] == 429
    assert f"Try again in {refused.headers['Retry-After']} s." in told["message"]
