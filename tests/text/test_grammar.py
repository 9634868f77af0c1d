"""Grammars: what they allow is what they promise."""

import json
import random

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ponant.engine import ConstraintFactory
from ponant.text import ENVELOPE, LLAMA3, MISTRAL, Tool, ToolCallParser, ToolStyle, grammar
from ponant.text.tokenizer import Tokenizer

_PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
_SCHEMAS = (
    _PERSON,
    {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
    {"anyOf": [{"const": "yes"}, {"type": "null"}, {"type": "number", "multipleOf": 5}]},
    {"$defs": {"x": {"enum": [1, 2]}}, "type": "object", "properties": {"y": {"$ref": "#/$defs/x"}},
     "required": ["y"], "additionalProperties": False},
)  # fmt: skip
_TOOLS = (
    Tool(name="weather", parameters={"properties": {"city": {"enum": ["Brest", "Nîmes"]}},
         "required": ["city"], "additionalProperties": False}),
    Tool(name="time", parameters={"properties": {}, "additionalProperties": False}),
)  # fmt: skip


@pytest.fixture(scope="module")
def constraints(starter: Tokenizer) -> ConstraintFactory:
    return grammar.constraint_factory(starter)


def _walk(constraints: ConstraintFactory, starter: Tokenizer, source: str, seed: int) -> str | None:
    """A text of tokens drawn at random from those allowed; None where it goes on too long."""
    draw = random.Random(seed)
    constraint = constraints(source)
    ids: list[int] = []
    for _ in range(120):
        allowed = _allowed(constraint.mask())
        ends = [token for token in allowed if token in starter.stop_tokens]
        if ends and (draw.random() < 0.3 or len(allowed) == len(ends)):
            return starter.decode(ids)
        token = draw.choice([token for token in allowed if token not in ends])
        assert constraint.accept(token)
        ids.append(token)
    return None


def _allowed(mask: np.ndarray) -> list[int]:
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
    return np.flatnonzero(bits).tolist()


@pytest.mark.model
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schema=st.sampled_from(_SCHEMAS), seed=st.integers(0, 2**32))
def test_random_walks_validate_against_the_schema(
    constraints: ConstraintFactory, starter: Tokenizer, schema: dict[str, object], seed: int
) -> None:
    text = _walk(constraints, starter, grammar.json_schema(schema), seed)
    if text is not None:
        jsonschema.validate(json.loads(text), schema)


@pytest.mark.model
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), style=st.sampled_from([ENVELOPE, MISTRAL, LLAMA3]))
def test_random_walks_under_forced_tools_are_calls(
    constraints: ConstraintFactory, starter: Tokenizer, seed: int, style: ToolStyle
) -> None:
    source = grammar.tool_call(_TOOLS, "any", style)
    text = _walk(constraints, starter, source, seed)
    if text is None:
        return
    parser = ToolCallParser(style, [tool.name for tool in _TOOLS])
    before, calls = parser.feed(text)
    after, late = parser.finish()
    (call,) = (*calls, *late)
    assert before + after == ""
    (tool,) = (tool for tool in _TOOLS if tool.name == call.name)
    jsonschema.validate(json.loads(call.arguments), tool.parameters)


@pytest.mark.model
def test_a_constraint_keeps_to_the_port(constraints: ConstraintFactory, starter: Tokenizer) -> None:
    constraint = constraints(grammar.choice(["yes", "no"]))
    mask = constraint.mask()
    assert mask.dtype == np.uint32
    assert mask.shape == (-(-starter.vocabulary_size // 32),)
    (yes,) = starter.encode("yes")
    assert not constraint.accept(starter.encode("maybe")[0])
    assert constraint.accept(yes)
    assert set(_allowed(constraint.mask())) <= set(starter.stop_tokens)
    assert constraint.complete
    constraint.rollback(1)
    assert not constraint.complete
    (no,) = starter.encode("no")
    assert constraint.accept(no)


@pytest.mark.model
def test_a_faulty_grammar_is_refused_when_it_is_built(constraints: ConstraintFactory) -> None:
    with pytest.raises(ValueError, match="Expected"):
        constraints("no grammar")


def test_one_tool_can_be_forced_by_name() -> None:
    source = grammar.tool_call(_TOOLS, "time", ENVELOPE)
    assert "time" in source
    assert "weather" not in source
    assert "*" not in source
    assert "*" in grammar.tool_call(_TOOLS, "any", ENVELOPE, parallel=True)


def test_the_forms_are_sources_that_llguidance_takes() -> None:
    for source in (
        grammar.json_object(),
        grammar.regex(r"[a-z]+/\d{2}\/x"),
        grammar.regex("two\nlines"),
        grammar.choice(['quote "', "new\nline", "ünïcödé"]),
        grammar.lark('start: "a" | "b"'),
    ):
        assert source.startswith("start:")


@pytest.mark.parametrize(
    ("build", "fault"),
    [
        (lambda: grammar.json_schema({"type": "nonsense"}), "nonsense"),
        (lambda: grammar.json_schema({"not": {"type": "string"}}), "not"),
        (lambda: grammar.json_schema({"$ref": "http://127.0.0.1/x"}), "127.0.0.1"),
        (lambda: grammar.regex("(?=a)"), "look-ahead"),
        (lambda: grammar.regex("("), "unclosed"),
        (lambda: grammar.regex(""), "empty"),
        (lambda: grammar.lark("no grammar"), "grammar"),
        (lambda: grammar.lark("start: " + '"a" ' * 100_000), "longer"),
        (lambda: grammar.choice([]), "option"),
        (lambda: grammar.tool_call(_TOOLS, "missing", ENVELOPE), "missing"),
    ],
)
def test_what_cannot_be_enforced_is_refused_with_its_fault(build: object, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        build()


@pytest.mark.model
@pytest.mark.parametrize("source", ["start: start", 'start: %json {"$ref": "#"}'])
def test_a_grammar_that_nothing_can_follow_is_refused(
    constraints: ConstraintFactory, source: str
) -> None:
    with pytest.raises(ValueError, match=r"^the grammar cannot be followed: [^\n]+$"):
        constraints(source)


@pytest.mark.model
def test_requests_under_one_grammar_do_not_move_each_other(
    constraints: ConstraintFactory, starter: Tokenizer
) -> None:
    source = grammar.choice(["yes", "no"])
    first, second = constraints(source), constraints(source)
    (yes,), (no,) = starter.encode("yes"), starter.encode("no")
    assert first.accept(yes)
    assert second.accept(no)
    assert constraints(source).accept(yes)
