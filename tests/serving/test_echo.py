"""The echo model, end to end through a worker process."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from ponant.engine import FinishReason
from ponant.kit.errors import BadRequest, ContextTooLong, NotFound
from ponant.serving import Models
from ponant.serving.port import TextModel
from ponant.store import Scope
from ponant.text.grammar import json_schema, regex
from ponant.text.messages import Message, Role, Tool
from tests.serving.asking import chat, complete
from tests.serving.conftest import models_in, opened_upstreams

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def models(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Models]:
    """One echo worker for all of these tests."""
    home = tmp_path_factory.mktemp("echo")
    with opened_upstreams(home) as upstreams:
        async with models_in(home, upstreams) as opened:
            yield opened


@pytest.fixture
async def echo(models: Models, scope: Scope) -> TextModel:
    return await models.get("echo", scope)


async def test_repeats_the_last_user_message(echo: TextModel) -> None:
    reply = await chat(echo, "Grüße, 🫨 sea")
    assert reply.text == "Grüße, 🫨 sea"
    assert reply.finish is FinishReason.STOP
    assert reply.usage.completion_tokens == len("Grüße, 🫨 sea".encode())
    assert reply.usage.cached_tokens == 0


async def test_streams_whole_characters(echo: TextModel) -> None:
    reply = await chat(echo, "🫨🫨")
    assert set("".join(delta.text for delta in reply.deltas)) == {"🫨"}
    assert all("\ufffd" not in delta.text for delta in reply.deltas)


async def test_max_tokens_ends_with_length(echo: TextModel) -> None:
    reply = await chat(echo, "abcdef", max_tokens=3)
    assert reply.text == "abc"
    assert reply.finish is FinishReason.LENGTH


async def test_a_stop_string_ends_and_is_left_out(echo: TextModel) -> None:
    reply = await chat(echo, "one two three four", stop=("three", "nothing"))
    assert reply.text == "one two "
    assert reply.finish is FinishReason.STOP
    assert reply.usage.completion_tokens <= len("one two three")


async def test_text_that_only_begins_like_a_stop_string_comes_whole(echo: TextModel) -> None:
    assert (await chat(echo, "one two th", stop=("three",))).text == "one two th"


async def test_a_prefix_is_part_of_the_answer(echo: TextModel) -> None:
    prefix = Message(role=Role.ASSISTANT, content="I hear: ", prefix=True)
    assert (await chat(echo, "sea", prefix)).text == "I hear: sea"


async def test_a_typed_special_token_is_text(echo: TextModel) -> None:
    typed = "<answer>mine<begin>"
    assert (await chat(echo, typed)).text == typed


async def test_structured_output(echo: TextModel) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    told = await chat(echo, '{"n": 42}', grammar=json_schema(schema))
    assert told.text == '{"n": 42}'
    other = await chat(echo, "no JSON", grammar=regex("[0-9]{3}"))
    assert len(other.text) == 3
    assert other.text.isdigit()


async def test_a_faulty_grammar_is_refused(echo: TextModel) -> None:
    with pytest.raises(BadRequest):
        await chat(echo, "x", grammar="start: (")


async def test_a_tool_call_that_must_be_made_is_made(echo: TextModel) -> None:
    schema = {"type": "object", "properties": {"at": {"type": "integer"}}, "required": ["at"]}
    tools = (Tool(name="tide", parameters=schema), Tool(name="wind", parameters=schema))
    for choice, names in (("any", {"tide", "wind"}), ("wind", {"wind"})):
        reply = await chat(echo, "hm", tools=tools, tool_choice=choice, max_tokens=200)
        call = reply.calls[0]
        assert call.name in names
        assert isinstance(json.loads(call.arguments)["at"], int)
        assert len(call.id) == 9
        assert reply.finish == "tool_calls"
        assert reply.text == ""


async def test_a_tool_call_in_the_text_is_taken_out(echo: TextModel) -> None:
    written = 'Let me see. <tool_call>{"name": "tide", "arguments": {"at": 7}}</tool_call>'
    reply = await chat(echo, written, tools=(Tool(name="tide"),), max_tokens=200)
    assert reply.text == "Let me see. "
    assert json.loads(reply.calls[0].arguments) == {"at": 7}
    untouched = await chat(echo, written, max_tokens=200)
    assert untouched.text == written
    assert untouched.finish is FinishReason.STOP


async def test_a_tool_that_is_not_there_is_refused(echo: TextModel) -> None:
    with pytest.raises(BadRequest, match="no tool 'storm'"):
        await chat(echo, "x", tools=(Tool(name="tide"),), tool_choice="storm")


async def test_logprobs(echo: TextModel) -> None:
    reply = await chat(echo, "ab", logprobs=2)
    tokens = [token for delta in reply.deltas for token in delta.tokens]
    assert [token.text for token in tokens] == ["a", "b"]
    assert all(token.logprob == pytest.approx(0.0) for token in tokens)
    assert all(len(token.top) == 2 for token in tokens)


async def test_completions_repeat_the_prompt(echo: TextModel) -> None:
    reply = await complete(echo, "abc", prompt_logprobs=0)
    assert reply.text == "abc"
    assert [token.text for token in reply.deltas[0].prompt_tokens] == ["a", "b", "c"]


async def test_an_over_long_prompt_is_refused_with_both_numbers(echo: TextModel) -> None:
    with pytest.raises(ContextTooLong, match=r"9002 tokens.*8192"):
        await chat(echo, "a" * 9000)
    with pytest.raises(ContextTooLong, match=r"12 tokens and 9000 more.*8192"):
        await chat(echo, "a" * 10, max_tokens=9000)


async def test_without_max_tokens_the_answer_fills_what_is_left(echo: TextModel) -> None:
    reply = await chat(echo, "a" * 5000, max_tokens=None)
    assert len(reply.text) == 8192 - 5002
    assert reply.finish is FinishReason.LENGTH


async def test_many_at_once(echo: TextModel) -> None:
    texts = [f"message {number}" * 20 for number in range(32)]
    replies = await asyncio.gather(*(chat(echo, text, max_tokens=None) for text in texts))
    assert [reply.text for reply in replies] == texts


async def test_embedding_is_refused(echo: TextModel) -> None:
    with pytest.raises(BadRequest, match="does not embed"):
        await echo.embed(["a"])


async def test_an_unknown_model_names_those_there_are(models: Models, scope: Scope) -> None:
    with pytest.raises(NotFound, match="There are: echo"):
        await models.get("nobody", scope)
