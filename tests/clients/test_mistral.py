"""What an application built on the stock `mistralai` client gets from Ponant."""

import json

import numpy as np
import pytest
from jsonschema import validate
from mistralai.client import Mistral
from mistralai.client import errors as mistral_errors

from tests.clients.test_openai import _SCHEMA, _WEATHER
from tests.server import Server

pytestmark = pytest.mark.model


def _ask(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_chat_answers_with_usage(mistral: Mistral) -> None:
    answer = mistral.chat.complete(
        model="starter",
        messages=_ask("What is the capital of France?"),
        temperature=0,
        max_tokens=40,
        random_seed=1,
        safe_prompt=True,
    )
    message = answer.choices[0].message
    assert message is not None
    assert "Paris" in str(message.content)
    assert answer.usage.prompt_tokens


def test_chat_streams(mistral: Mistral) -> None:
    with mistral.chat.stream(
        model="starter", messages=_ask("What is the capital of Italy?"), temperature=0
    ) as events:
        chunks = [event.data for event in events]
    text = "".join(str(c.choices[0].delta.content or "") for c in chunks if c.choices)
    assert "Rome" in text
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens


def test_a_prefix_opens_the_answer(mistral: Mistral) -> None:
    answer = mistral.chat.complete(
        model="starter",
        messages=[
            {"role": "user", "content": "What is the capital of France?"},
            {"role": "assistant", "content": "The capital of France is", "prefix": True},
        ],
        temperature=0,
        max_tokens=20,
    )
    message = answer.choices[0].message
    assert message is not None
    assert str(message.content).startswith("The capital of France is")
    assert "Paris" in str(message.content)


def test_a_json_schema_binds_the_answer(mistral: Mistral) -> None:
    answer = mistral.chat.complete(
        model="starter",
        messages=_ask("Describe Rome."),
        temperature=0,
        max_tokens=80,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "city", "schema_definition": _SCHEMA, "strict": True},
        },
    )
    message = answer.choices[0].message
    assert message is not None
    validate(json.loads(str(message.content)), _SCHEMA)


def test_json_mode_gives_an_object(mistral: Mistral) -> None:
    answer = mistral.chat.complete(
        model="echo", messages=_ask("anything"), response_format={"type": "json_object"}
    )
    message = answer.choices[0].message
    assert message is not None
    assert isinstance(json.loads(str(message.content)), dict)


@pytest.mark.parametrize("stream", [False, True])
def test_any_tool_is_called_whole(mistral: Mistral, stream: bool) -> None:
    asked = {
        "model": "starter",
        "messages": _ask("What is the weather in Paris?"),
        "tools": [_WEATHER],
        "tool_choice": "any",
        "temperature": 0,
        "max_tokens": 80,
    }
    if stream:
        with mistral.chat.stream(**asked) as events:
            choices = [event.data.choices[0] for event in events if event.data.choices]
        calls = [call for choice in choices for call in choice.delta.tool_calls or []]
        assert choices[-1].finish_reason == "tool_calls"
    else:
        choice = mistral.chat.complete(**asked).choices[0]
        assert choice.message is not None
        calls = choice.message.tool_calls or []
        assert choice.finish_reason == "tool_calls"
    assert calls[0].function.name == "get_weather"
    assert calls[0].id
    assert calls[0].id != "null"
    arguments = calls[0].function.arguments
    validate(
        json.loads(arguments) if isinstance(arguments, str) else arguments,
        _WEATHER["function"]["parameters"],
    )


def test_fim_fills_the_middle(mistral: Mistral) -> None:
    answer = mistral.fim.complete(
        model="starter",
        prompt="def add(a, b):\n    return ",
        suffix="\n\nprint(add(1, 2))\n",
        temperature=0,
        max_tokens=12,
    )
    message = answer.choices[0].message
    assert message is not None
    assert message.content
    assert answer.usage.completion_tokens


def test_fim_streams(mistral: Mistral) -> None:
    with mistral.fim.stream(
        model="starter", prompt="1, 2, 3, ", suffix=", 7", max_tokens=8
    ) as events:
        chunks = [event.data for event in events]
    assert chunks[-1].usage is not None


def test_embeddings(mistral: Mistral) -> None:
    made = mistral.embeddings.create(model="embed", inputs=["one", "two"])
    assert made.id
    vectors = np.array([entry.embedding for entry in made.data])
    assert vectors.shape == (2, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("dtype", "length"), [("int8", 384), ("ubinary", 48), ("binary", 48)])
def test_embeddings_in_smaller_numbers(mistral: Mistral, dtype: str, length: int) -> None:
    made = mistral.embeddings.create(model="embed", inputs="one", output_dtype=dtype)
    embedding = made.data[0].embedding
    assert embedding is not None
    assert len(embedding) == length
    assert all(value == int(value) for value in embedding)


def test_models(mistral: Mistral) -> None:
    cards = {card.id: card for card in mistral.models.list().data or []}
    assert cards["starter"].capabilities.completion_chat
    assert cards["starter"].max_context_length
    assert mistral.models.retrieve(model_id="starter").id == "starter"


def test_a_refusal_parses(mistral: Mistral) -> None:
    with pytest.raises(mistral_errors.SDKError) as refused:
        mistral.chat.complete(model="no-such-model", messages=_ask("hi"))
    assert refused.value.status_code == 404


def test_a_422_parses(mistral: Mistral) -> None:
    with pytest.raises(mistral_errors.HTTPValidationError) as refused:
        mistral.chat.complete(model="echo", messages=_ask("hi"), temperature=-1)
    assert refused.value.data.detail


def test_a_wrong_key_is_refused(server: Server) -> None:
    with Mistral(server_url=server.url, api_key="pnt_wrong") as stranger:
        with pytest.raises(mistral_errors.SDKError) as refused:
            stranger.models.list()
    assert refused.value.status_code == 401
