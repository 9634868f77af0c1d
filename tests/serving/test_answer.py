"""The pieces of an answer, from a worker's tokens."""

from collections.abc import AsyncGenerator

import pytest

from ponant.engine import Event, Request, Token
from ponant.serving.answer import Answer
from ponant.serving.echo import load_echo_tokenizer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("stops", [(), ("two",)])
async def test_one_that_ends_early_tells_what_of_its_prompt_was_there(
    stops: tuple[str, ...],
) -> None:
    tokenizer = load_echo_tokenizer()
    request = Request(id="one", prompt=tuple(tokenizer.encode("A long prompt")), max_tokens=9)

    async def events() -> AsyncGenerator[Event]:
        for token in tokenizer.encode("one two"):
            yield Event(request_id="one", tokens=(Token(id=token),), cached_tokens=8)

    told = [
        delta.usage
        async for delta in Answer(tokenizer, stops).stream(events(), request)
        if delta.usage is not None
    ]
    assert told[0].completion_tokens == 0
    assert {(usage.prompt_tokens, usage.cached_tokens) for usage in told} == {(13, 8)}
    assert len(told) == 1 + len(stops)
