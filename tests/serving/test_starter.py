"""The starter, with its real weights, through its worker process."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from ponant.engine import FinishReason
from ponant.kit.errors import BadRequest, ContextTooLong, Unavailable
from ponant.serving import Models
from ponant.serving.port import CompletionRequest, Controls, TextModel
from ponant.store import Scope
from ponant.text.grammar import json_schema
from ponant.text.messages import Message, Passage, Role
from tests.processes import children
from tests.serving.asking import chat, chat_request, complete
from tests.serving.conftest import models_in, opened_upstreams

pytestmark = [pytest.mark.anyio, pytest.mark.model]


@pytest.fixture(scope="module")
async def models(
    tmp_path_factory: pytest.TempPathFactory, models_home: Path
) -> AsyncIterator[Models]:
    """The starter on llama.cpp and the embedder, for all of these tests."""
    home = tmp_path_factory.mktemp("starter")
    (home / "models").symlink_to(models_home / "models")
    with opened_upstreams(home) as upstreams:
        async with models_in(home, upstreams, engine="llamacpp", context=1024) as opened:
            await opened.start()
            yield opened


@pytest.fixture
async def starter(models: Models, scope: Scope) -> TextModel:
    return await models.get("starter", scope)


async def test_answers_and_stops(starter: TextModel) -> None:
    reply = await chat(starter, "What is the capital of France?")
    assert "Paris" in reply.text
    assert reply.text == reply.text.strip()
    assert reply.finish is FinishReason.STOP
    assert "User:" not in reply.text


async def test_its_alias_is_the_same_model(
    models: Models, starter: TextModel, scope: Scope
) -> None:
    assert await models.get("gemma-3-270m", scope) is starter


async def test_its_card(models: Models, starter: TextModel, scope: Scope) -> None:
    await chat(starter, "Hello", max_tokens=1)
    card = starter.card
    assert (card.state, card.backend, card.context_length) == ("ready", "llamacpp", 1024)
    assert card.chat
    assert card.completion
    assert card.fim
    assert "base model" in card.detail
    assert "Gemma" in card.licence
    assert card.restrictions
    states = {card.id: card.state for card in await models.list(scope)}
    assert states["embed-en"] == "stopped"


async def test_answers_from_passages(starter: TextModel) -> None:
    passages = (
        Passage(title="Parking", text="Bicycles stand in the yard."),
        Passage(title="Opening hours", text="The harbour office opens at 07:45."),
    )
    reply = await chat(starter, "When does the harbour office open?", passages=passages)
    assert "07:45" in reply.text


async def test_a_prefix_is_continued(starter: TextModel) -> None:
    prefix = Message(role=Role.ASSISTANT, content="The capital of Italy is", prefix=True)
    reply = await chat(starter, "What is the capital of Italy?", prefix, max_tokens=4)
    assert reply.text.startswith("The capital of Italy is Rome")


async def test_a_schema_holds_the_answer(starter: TextModel) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "sea": {"type": "boolean"}},
        "required": ["city", "sea"],
        "additionalProperties": False,
    }
    reply = await chat(
        starter, "Tell me of Marseille.", grammar=json_schema(schema), max_tokens=200
    )
    found = msgspec.json.decode(reply.text)
    assert set(found) == {"city", "sea"}
    assert isinstance(found["sea"], bool)


async def test_fills_in_the_middle(starter: TextModel) -> None:
    reply = await complete(starter, "def add(a, b):\n    return", "\n\nprint(add(1, 2))\n")
    assert "a + b" in reply.text
    assert reply.finish is FinishReason.STOP


async def test_completes_text(starter: TextModel) -> None:
    reply = await complete(starter, "One, two, three, four,", max_tokens=4)
    assert "five" in reply.text
    assert reply.usage.completion_tokens == 4


async def test_too_long_a_prompt_is_refused(starter: TextModel) -> None:
    with pytest.raises(ContextTooLong, match="takes 1024 tokens"):
        await chat(starter, "sea " * 1100)


async def test_what_its_engine_lacks_is_refused(starter: TextModel) -> None:
    assert not starter.card.capabilities.prompt_logprobs
    with pytest.raises(BadRequest, match="prompt_logprobs"):
        await chat(starter, "Hello", prompt_logprobs=1)


async def test_leaving_frees_the_engine(starter: TextModel) -> None:
    """Llama.cpp computes four requests at once here, so a fifth shows whether four were freed."""
    started = time.monotonic()
    await chat(starter, "Hello", max_tokens=16)
    one = time.monotonic() - started
    endless = CompletionRequest(prompt="1, 2, 3, 4,", controls=Controls(max_tokens=900))
    streams = [starter.complete(endless) for _ in range(4)]
    for stream in streams:
        await anext(stream)
    for stream in streams:
        await stream.aclose()
    started = time.monotonic()
    await chat(starter, "Hello", max_tokens=16)
    assert time.monotonic() - started < 20 * one  # four of 900 tokens would have taken far more


async def test_chat_answers_beside_embedding(models: Models, starter: TextModel) -> None:
    embedder = await models.embedder()
    sync = asyncio.create_task(embedder.embed(["a passage of some length " * 12] * 24))
    reply = await chat(starter, "What is the capital of France?", max_tokens=12)
    assert "Paris" in reply.text
    assert (await sync).vectors.shape == (24, 384)


async def test_killed_while_it_answers_the_native_engine_comes_back(
    tmp_path: Path, models_home: Path, scope: Scope
) -> None:
    (tmp_path / "models").symlink_to(models_home / "models")
    others = {one.pid for one in children("ponant.serving.worker")}
    with opened_upstreams(tmp_path) as upstreams:
        async with models_in(tmp_path, upstreams, engine="native", context=8192) as opened:
            model = await opened.get("starter", scope)
            # Without an end of its own it goes on for thousands of tokens.
            stream = model.chat(chat_request("Count on.", max_tokens=8000, min_tokens=8000))
            await anext(stream)
            found = children("ponant.serving.worker")
            [worker] = [one for one in found if one.pid not in others]
            worker.kill()
            with pytest.raises(Unavailable, match="ended in the middle"):
                async for _ in stream:
                    pass
            reply = await chat(model, "What is the capital of France?")
            assert "Paris" in reply.text
            assert (model.card.state, model.card.backend) == ("ready", "native")
