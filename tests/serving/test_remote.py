"""Models of an upstream server, asked over real HTTP."""

import asyncio

import numpy as np
import pytest

from ponant.engine import FinishReason, Sampling
from ponant.kit.errors import BadRequest, NotFound, PonantError, TooManyRequests, UpstreamFailed
from ponant.serving import Models, Upstreams
from ponant.serving.port import TextModel
from ponant.store import Scope
from ponant.text.grammar import json_schema, regex
from ponant.text.messages import Message, Passage, Role, Tool, ToolCall
from tests.fakes.openai_server import FakeOpenAI
from tests.serving.asking import chat, chat_request, complete

pytestmark = pytest.mark.anyio


@pytest.fixture
async def model(bare: Models, upstreams: Upstreams, parrot: FakeOpenAI, scope: Scope) -> TextModel:
    await asyncio.to_thread(upstreams.add, scope, parrot.url, "birds")
    return await bare.get("birds/parrot", scope)


async def test_its_models_stand_beside_ours(bare: Models, model: TextModel, scope: Scope) -> None:
    cards = {card.id: card for card in await bare.list(scope)}
    assert set(cards) == {"echo", "birds/parrot", "birds/text-embed-1"}
    assert cards["birds/parrot"].place == "here"  # the server is on the loopback
    assert cards["birds/parrot"].backend == "upstream"
    assert cards["birds/parrot"].chat
    assert cards["birds/text-embed-1"].embedding


async def test_another_organisation_has_none_of_them(bare: Models, model: TextModel) -> None:
    stranger = Scope(organisation_id="org_elsewhere", workspace_id="wsp_elsewhere")
    assert [card.id for card in await bare.list(stranger)] == ["echo"]
    with pytest.raises(NotFound):
        await bare.get("birds/parrot", stranger)


async def test_an_answer_streams(model: TextModel, parrot: FakeOpenAI) -> None:
    reply = await chat(model, "the sea is calm", max_tokens=9, stop=("storm",))
    assert [delta.text for delta in reply.deltas[:4]] == ["the", " sea", " is", " calm"]
    assert reply.finish is FinishReason.STOP
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 4)
    assert reply.usage.cached_tokens == 1
    asked = parrot.asked[-1]
    assert asked["model"] == "parrot"
    assert asked["max_tokens"] == 9
    assert asked["stop"] == ["storm"]
    assert asked["temperature"] == 0.0
    assert not {"top_k", "min_p", "seed", "logit_bias", "tools"} & set(asked)


async def test_fields_that_we_do_not_know_pass_through(
    model: TextModel, parrot: FakeOpenAI
) -> None:
    sampling = Sampling(temperature=0.5, seed=4, top_k=3)
    await chat(model, "hm", extra={"service_tier": "flex", "model": "x"}, sampling=sampling)
    asked = parrot.asked[-1]
    assert asked["service_tier"] == "flex"
    assert asked["model"] == "parrot"
    assert (asked["seed"], asked["top_k"]) == (4, 3)


async def test_a_tool_call_comes_whole(model: TextModel, parrot: FakeOpenAI) -> None:
    parrot.tool_call = True
    tool = Tool(name="fetch", parameters={"type": "object"})
    reply = await chat(model, "go", tools=(tool,), tool_choice="any")
    assert reply.calls == [ToolCall(id="call_0001", name="fetch", arguments='{"url": "a"}')]
    assert reply.finish == "tool_calls"
    assert parrot.asked[-1]["tool_choice"] == "required"
    assert parrot.asked[-1]["tools"][0]["function"]["name"] == "fetch"


async def test_roles_passages_and_results_are_told(model: TextModel, parrot: FakeOpenAI) -> None:
    call = ToolCall(id="a1", name="fetch", arguments="{}")
    await chat(
        model,
        "hello",
        Message(role=Role.ASSISTANT, tool_calls=(call,)),
        Message(role=Role.TOOL, content="42", tool_call_id="a1"),
        passages=(Passage(title="Tides", text="High at noon."),),
    )
    messages = parrot.asked[-1]["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool"]
    assert "[1] Tides\nHigh at noon." in messages[0]["content"]
    assert messages[2]["tool_calls"][0]["function"]["name"] == "fetch"
    assert messages[3]["tool_call_id"] == "a1"


async def test_a_schema_is_told_and_other_grammars_are_refused(
    model: TextModel, parrot: FakeOpenAI
) -> None:
    await chat(model, "x", grammar=json_schema({"type": "array"}))
    told = parrot.asked[-1]["response_format"]
    assert told["json_schema"]["schema"] == {"type": "array"}
    with pytest.raises(BadRequest, match="JSON Schema only"):
        await chat(model, "x", grammar=regex("[0-9]+"))


async def test_completions(model: TextModel, parrot: FakeOpenAI) -> None:
    reply = await complete(model, "one two", suffix="three")
    assert reply.text == "one two"
    assert parrot.asked[-1]["suffix"] == "three"


async def test_embeddings_are_of_length_one(bare: Models, model: TextModel, scope: Scope) -> None:
    embedder = await bare.get("birds/text-embed-1", scope)
    found = await embedder.embed(["a", "b"])
    assert np.allclose(found.vectors, [[0.6, 0.8], [0.6, 0.8]])
    assert found.usage.prompt_tokens == 5


async def test_leaving_early_hangs_up(model: TextModel, parrot: FakeOpenAI) -> None:
    stream = model.chat(chat_request("word " * 400_000))
    await anext(stream)
    await stream.aclose()
    assert await asyncio.to_thread(parrot.left_early.wait, 10)


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (500, UpstreamFailed, "status 500: the parrot is unwell"),
        (400, BadRequest, "refuses the request: the parrot is unwell"),
        (429, TooManyRequests, "at its limit"),
        (404, UpstreamFailed, "status 404"),
        (302, UpstreamFailed, "not followed"),
    ],
)
async def test_its_refusals_become_sentences(
    model: TextModel, parrot: FakeOpenAI, status: int, error: type[PonantError], says: str
) -> None:
    parrot.status = status
    with pytest.raises(error, match=says):
        await chat(model, "x")


async def test_an_error_in_mid_stream_is_raised(model: TextModel, parrot: FakeOpenAI) -> None:
    parrot.broken_off = True
    with pytest.raises(UpstreamFailed, match="fell asleep"):
        await chat(model, "x y")


async def test_its_key_comes_from_the_environment(
    bare: Models,
    upstreams: Upstreams,
    parrot: FakeOpenAI,
    scope: Scope,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parrot.key = "squawk-4711"
    await asyncio.to_thread(upstreams.add, scope, parrot.url, "locked", "PARROT_KEY")
    with pytest.raises(UpstreamFailed, match="PARROT_KEY is not set"):
        await bare.get("locked/parrot", scope)
    await asyncio.to_thread(upstreams.add, scope, parrot.url, "open", "PARROT_KEY_2")
    monkeypatch.setenv("PARROT_KEY_2", "squawk-4711")
    assert (await chat(await bare.get("open/parrot", scope), "hi")).text == "hi"
    monkeypatch.setenv("PARROT_KEY_2", "wrong")
    with pytest.raises(UpstreamFailed, match="refuses the key") as caught:
        await chat(await bare.get("open/parrot", scope), "hi")
    assert "wrong" not in caught.value.message


async def test_a_server_that_is_not_there_harms_no_other(
    bare: Models, upstreams: Upstreams, scope: Scope
) -> None:
    await asyncio.to_thread(upstreams.add, scope, "http://127.0.0.1:1", "gone")
    assert [card.id for card in await bare.list(scope)] == ["echo"]
    with pytest.raises(UpstreamFailed, match="cannot be reached"):
        await bare.get("gone/model", scope)
