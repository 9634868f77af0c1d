"""What every backend of `ponant.engine.port.Engine` must do."""

import importlib
import importlib.util
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ponant.engine import Engine, Event, FinishReason, Request, Sampling, Tag, Token
from ponant.engine.backends.echo import ANSWER, BEGIN, EchoEngine
from ponant.kit import new_id
from ponant.serving.backend import CAPABILITIES
from ponant.serving.echo import load_echo_tokenizer
from ponant.text.grammar import constraint_factory, json_schema, lark, regex
from ponant.text.tokenizer import load_tokenizer
from tests.patience import PATIENCE, tries

GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True)
class Subject:
    """A backend under test, a prompt that it answers at length, and a temperature that stirs it."""

    name: str
    open: Callable[[], Engine]
    engine: Engine
    prompt: list[int]
    hot: float
    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]

    def needs(self, capability: str) -> None:
        if not getattr(self.engine.info.capabilities, capability):
            pytest.skip(f"{self.name} does not declare {capability}")

    def request(self, **fields: Any) -> Request:
        return Request(
            **{"id": new_id("req"), "prompt": self.prompt, "max_tokens": 12, "sampling": GREEDY}
            | fields
        )

    def run(self, **fields: Any) -> "Answer":
        answer = Answer()
        self.engine.submit(self.request(**fields), answer.take)
        return answer.wait()

    def tokens(self, **fields: Any) -> list[int]:
        return self.run(**fields).ids


class Answer:
    """Gathers a request's events and checks their order as they come."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.begun = threading.Event()
        self._ended = threading.Event()

    def take(self, event: Event) -> None:
        assert not self._ended.is_set(), "an event came after the last"
        self.events.append(event)
        if event.tokens:
            self.begun.set()
        if event.finish is not None:
            self._ended.set()

    def wait(self, seconds: float = PATIENCE) -> "Answer":
        assert self._ended.wait(seconds), "the request did not end"
        return self

    @property
    def tokens(self) -> list[Token]:
        return [token for event in self.events for token in event.tokens]

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.tokens]

    @property
    def last(self) -> Event:
        return self.events[-1]


class HeldAnswer(Answer):
    """Takes its first token only when `go` is set, so that no answer is over before one acts."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def take(self, event: Event) -> None:
        super().take(event)
        self.go.wait(PATIENCE)


@pytest.fixture(
    scope="module",
    params=[
        "echo",
        pytest.param("llamacpp", marks=pytest.mark.model),
        pytest.param("native", marks=pytest.mark.model),
    ],
)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    name: str = request.param
    if name == "echo":
        made = _echo()
    else:
        home: Path = request.getfixturevalue("models_home")
        made = _starter(name, home / "models" / "starter" / "model.gguf")
    yield made
    made.engine.close()


def _echo() -> Subject:
    tokenizer = load_echo_tokenizer()

    def start() -> Engine:
        return EchoEngine(constraints=constraint_factory(tokenizer), context_length=4096)

    told = b"The wind blows from the west, and the boats come home in the evening. " * 20
    prompt = [BEGIN, *told, ANSWER]
    return Subject("echo", start, start(), prompt, 40.0, tokenizer.encode, tokenizer.decode)


def _starter(name: str, path: Path) -> Subject:
    tokenizer = load_tokenizer(path, path.parent)
    # llama.cpp enforces grammars itself; what it is given only checks them.
    constraints = lark if name == "llamacpp" else constraint_factory(tokenizer)

    def start() -> Engine:
        module = importlib.import_module(f"ponant.engine.backends.{name}")
        backend = {"native": "NativeEngine", "llamacpp": "LlamaCppEngine"}[name]
        engine: Engine = getattr(module, backend)(
            path, context_length=1024, threads=1, constraints=constraints, memory=0
        )
        return engine

    prompt = [tokenizer.bos, *tokenizer.encode("The old harbour of the town is known for")]
    return Subject(name, start, start(), prompt, 1.5, tokenizer.encode, tokenizer.decode)


def test_declares_its_capabilities(subject: Subject) -> None:
    assert subject.engine.info.backend == subject.name
    assert subject.engine.info.capabilities == CAPABILITIES[subject.name]


def test_says_what_it_is(subject: Subject) -> None:
    info = subject.engine.info
    assert len(info.model_hash) == 64
    assert info.context_length >= 1024
    assert max(subject.prompt) < info.vocabulary_size


def test_streams_token_by_token(subject: Subject) -> None:
    answer = subject.run(max_tokens=12)
    assert len(answer.events) > 3
    assert len(answer.ids) == 12
    assert answer.last.finish is FinishReason.LENGTH
    assert answer.last.usage is not None
    assert answer.last.usage.completion_tokens == 12
    assert answer.last.usage.prompt_tokens == len(subject.prompt)
    assert all(token.logprob is None and token.top == () for token in answer.tokens)


def test_greedy_is_repeatable(subject: Subject) -> None:
    assert subject.tokens() == subject.tokens()


def test_a_seed_repeats_the_draw(subject: Subject) -> None:
    drawn = [
        tuple(subject.tokens(sampling=Sampling(temperature=subject.hot, seed=seed), max_tokens=8))
        for seed in (1, 2, 3, 4, 1)
    ]
    assert drawn[0] == drawn[-1]
    assert len(set(drawn)) > 1


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}])
def test_the_narrowest_sampling_is_greedy(subject: Subject, narrow: dict[str, float]) -> None:
    drawn = Sampling(temperature=subject.hot, seed=7, **narrow)  # type: ignore[arg-type]
    assert subject.tokens(sampling=drawn) == subject.tokens()


def test_top_k_keeps_to_the_likeliest(subject: Subject) -> None:
    subject.needs("logprobs")
    drawn = Sampling(temperature=subject.hot, top_k=3, seed=11)
    for token in subject.run(sampling=drawn, logprobs=3).tokens:
        if token.logprob is not None:
            assert token.logprob >= token.top[-1][1] - 1e-4


def test_temperature_widens_the_choice(subject: Subject) -> None:
    def variety(temperature: float) -> int:
        samplings = (Sampling(temperature=temperature, seed=seed) for seed in range(6))
        return len({tuple(subject.tokens(sampling=s, max_tokens=4)) for s in samplings})

    assert variety(0.01) < variety(subject.hot)


def test_logit_bias_forbids_and_forces(subject: Subject) -> None:
    subject.needs("logit_bias")
    first = subject.tokens(max_tokens=1)[0]
    forbidden = Sampling(temperature=0.0, logit_bias={first: -1000.0})
    assert first not in subject.tokens(sampling=forbidden, max_tokens=4)
    wanted = subject.encode("z")[0]
    forced = Sampling(temperature=0.0, logit_bias={wanted: 1000.0})
    assert subject.tokens(sampling=forced, max_tokens=3) == [wanted] * 3


def test_logprobs_are_of_the_unmodified_distribution(subject: Subject) -> None:
    subject.needs("logprobs")
    plain = subject.run(max_tokens=1, logprobs=4).tokens[0]
    assert plain.top[0][0] == plain.id
    assert plain.logprob == pytest.approx(plain.top[0][1])
    values = [value for _, value in plain.top]
    assert values == sorted(values, reverse=True)
    assert len(values) == 4
    assert sum(math.exp(value) for value in values) <= 1 + 1e-4
    cold = subject.run(
        max_tokens=1, logprobs=4, sampling=Sampling(temperature=0.1, top_k=1, seed=1)
    ).tokens[0]
    assert dict(cold.top) == pytest.approx(dict(plain.top), abs=1e-3)
    if subject.engine.info.capabilities.logit_bias:
        unlikely = Sampling(temperature=0.0, logit_bias={plain.id: -1000.0})
        other = subject.run(max_tokens=1, logprobs=4, sampling=unlikely).tokens[0]
        assert dict(other.top) == pytest.approx(dict(plain.top), abs=1e-3)
        assert other.id != plain.id
        assert other.logprob is not None
        assert plain.logprob is not None
        assert other.logprob < plain.logprob


def test_no_alternatives_still_gives_the_chosen_logprob(subject: Subject) -> None:
    subject.needs("logprobs")
    for token in subject.run(max_tokens=2, logprobs=0).tokens:
        assert token.logprob is not None
        assert token.top == ()


def test_prompt_logprobs(subject: Subject) -> None:
    subject.needs("prompt_logprobs")
    answer = subject.run(max_tokens=0, prompt_logprobs=2)
    scored = [token for event in answer.events for token in event.prompt_tokens]
    assert [token.id for token in scored] == subject.prompt
    assert scored[0].logprob is None
    assert all(token.logprob is not None and token.logprob <= 1e-6 for token in scored[1:])
    assert all(len(token.top) == 2 for token in scored[1:])
    assert answer.ids == []


def test_no_tokens_asked_for_gives_none(subject: Subject) -> None:
    answer = subject.run(max_tokens=0)
    assert answer.ids == []
    assert answer.last.finish is FinishReason.LENGTH


def test_a_stop_token_ends_and_is_not_returned(subject: Subject) -> None:
    free = subject.tokens(max_tokens=8)
    stop = free[4]
    answer = subject.run(max_tokens=8, stop_tokens=(stop,))
    assert answer.ids == free[: free.index(stop)]
    assert answer.last.finish is FinishReason.STOP
    assert answer.last.usage is not None
    assert answer.last.usage.completion_tokens == len(answer.ids)


def test_min_tokens_puts_the_stop_off(subject: Subject) -> None:
    subject.needs("min_tokens")
    first = subject.tokens(max_tokens=1)[0]
    answer = subject.run(max_tokens=6, stop_tokens=(first,), min_tokens=3)
    assert len(answer.ids) >= 3
    assert first not in answer.ids


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
def test_output_penalties_end_repetition(subject: Subject, name: str) -> None:
    subject.needs("penalties")
    penalised = subject.tokens(
        max_tokens=16,
        sampling=Sampling(temperature=0.0, **{name: 500.0}),  # type: ignore[arg-type]
    )
    assert len(set(penalised)) == 16
    assert penalised[0] == subject.tokens(max_tokens=1)[0]  # the prompt does not count


def test_repetition_penalty_counts_the_prompt(subject: Subject) -> None:
    subject.needs("penalties")
    first = subject.tokens(max_tokens=1)[0]
    prompt = [*subject.prompt[:-1], first, subject.prompt[-1]]
    strong = Sampling(temperature=0.0, repetition_penalty=1000.0)
    assert first not in subject.tokens(prompt=prompt, sampling=strong, max_tokens=4)


def test_many_requests_at_once(subject: Subject) -> None:
    alone = [subject.tokens(prompt=subject.prompt[: 4 + n], max_tokens=6) for n in range(3)]
    answers = [Answer() for _ in range(12)]
    for number, answer in enumerate(answers):
        subject.engine.submit(
            subject.request(prompt=subject.prompt[: 4 + number % 3], max_tokens=6), answer.take
        )
    for number, answer in enumerate(answers):
        assert len(answer.wait().ids) == len(alone[number % 3])
        if subject.name != "llamacpp":  # its batches round differently
            assert answer.ids == alone[number % 3]


def test_a_prompt_is_found_again_until_what_it_holds_is_forgotten(subject: Subject) -> None:
    subject.needs("scoped_prefix_cache")
    prompt = (subject.prompt * 40)[:100]
    asked = {"prompt": prompt, "cache_scope": "mine", "tags": (Tag(40, "doc/passage"),)}
    first = subject.run(**asked)
    again = subject.run(**asked)
    subject.engine.forget(["doc/passage"])
    after = subject.run(**asked)
    cached = [found.last.usage.cached_tokens for found in (first, again, after) if found.last.usage]
    assert cached == [0, 96, 32]
    # Who leaves early has no last event.
    assert [found.events[0].cached_tokens for found in (first, again, after)] == cached
    assert first.ids == again.ids == after.ids


def test_forgetting_what_nobody_named_changes_nothing(subject: Subject) -> None:
    before = subject.tokens()
    subject.engine.forget(["doc/unheard of"])
    assert subject.tokens() == before


def test_cancelling_ends_a_request_and_no_other(subject: Subject) -> None:
    doomed, spared = HeldAnswer(), Answer()
    request = subject.request(max_tokens=900)
    subject.engine.submit(request, doomed.take)
    subject.engine.submit(subject.request(max_tokens=20), spared.take)
    assert doomed.begun.wait(PATIENCE)
    subject.engine.cancel(request.id)
    doomed.go.set()
    assert doomed.wait().last.finish is FinishReason.CANCELLED
    assert 0 < len(doomed.ids) < 900
    assert doomed.last.usage is not None
    assert doomed.last.usage.completion_tokens == len(doomed.ids)
    assert spared.wait().last.finish is FinishReason.LENGTH


def test_a_waiting_request_can_be_cancelled(subject: Subject) -> None:
    answers = []
    for _ in range(20):
        answer, request = HeldAnswer(), subject.request(max_tokens=500)
        subject.engine.submit(request, answer.take)
        answers.append((answer, request))
    for _, request in answers:
        subject.engine.cancel(request.id)
    for answer, _ in answers:
        answer.go.set()
    for answer, _ in answers:
        assert answer.wait().last.finish is FinishReason.CANCELLED


def test_cancelling_an_unknown_request_is_ignored(subject: Subject) -> None:
    subject.engine.cancel("req_nobody")


def test_a_regex_holds_the_answer(subject: Subject) -> None:
    subject.needs("grammar")
    answer = subject.run(grammar=regex("[0-9]{4}-[0-9]{2}"), max_tokens=20)
    text = subject.decode(answer.ids)
    assert len(text) == 7
    assert text[4] == "-"
    assert text.replace("-", "").isdigit()
    assert answer.last.finish is FinishReason.STOP


def test_a_json_schema_holds_the_answer(subject: Subject) -> None:
    subject.needs("grammar")
    schema = {
        "type": "object",
        "properties": {"port": {"enum": ["Brest", "Sète"]}, "boats": {"type": "boolean"}},
        "required": ["port", "boats"],
        "additionalProperties": False,
    }
    hot = Sampling(temperature=subject.hot, seed=3)
    answer = subject.run(grammar=json_schema(schema), max_tokens=200, sampling=hot)
    found = msgspec.json.decode(subject.decode(answer.ids))
    assert found["port"] in {"Brest", "Sète"}
    assert isinstance(found["boats"], bool)


def test_a_grammar_writes_characters_of_several_tokens(subject: Subject) -> None:
    subject.needs("grammar")
    answer = subject.run(grammar='start: "a🫨b"', max_tokens=20)
    assert subject.decode(answer.ids) == "a🫨b"


def test_bad_requests_are_refused(subject: Subject) -> None:
    size = subject.engine.info.vocabulary_size
    bad: list[dict[str, Any]] = [
        {"prompt": []},
        {"prompt": [size]},
        {"prompt": [-1]},
        {"prompt": subject.prompt[:1] * (subject.engine.info.context_length + 1)},
        {"sampling": Sampling(logit_bias={size: 1.0})},
    ]
    if subject.engine.info.capabilities.grammar:
        bad.append({"grammar": "start: ("})
    for fields in bad:
        with pytest.raises(ValueError, match=r"\w+"):
            subject.engine.submit(subject.request(**fields), Answer().take)


def test_undeclared_capabilities_are_refused(subject: Subject) -> None:
    uses: dict[str, dict[str, Any]] = {
        "grammar": {"grammar": 'start: "a"'},
        "logit_bias": {"sampling": Sampling(logit_bias={1: 1.0})},
        "logprobs": {"logprobs": 1},
        "prompt_logprobs": {"prompt_logprobs": 1},
        "penalties": {"sampling": Sampling(presence_penalty=1.0)},
        "min_tokens": {"min_tokens": 1},
    }
    for capability, fields in uses.items():
        if getattr(subject.engine.info.capabilities, capability):
            continue
        with pytest.raises(ValueError, match=r"\w+"):
            subject.engine.submit(subject.request(**fields), Answer().take)


def _submit_for_ever(engine: Engine, subject: Subject) -> None:
    for _ in tries():
        engine.submit(subject.request(), Answer().take)
        time.sleep(0.01)


def test_closing_ends_what_is_in_flight(subject: Subject) -> None:
    engine = subject.open()
    answer = HeldAnswer()
    engine.submit(subject.request(max_tokens=900), answer.take)
    assert answer.begun.wait(PATIENCE)
    closing = threading.Thread(target=engine.close)
    closing.start()
    with pytest.raises(ValueError, match="closed"):
        _submit_for_ever(engine, subject)
    answer.go.set()
    closing.join(PATIENCE)
    assert answer.wait().last.finish is FinishReason.ERROR
    assert answer.last.error


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(logit_bias={1: math.nan}),
        Sampling(logit_bias={1: math.inf}),
        Sampling(temperature=1e-300),
        Sampling(temperature=math.nan),
        Sampling(top_p=math.nan),
    ],
)
def test_numbers_that_break_a_step_are_refused_and_harm_nobody(
    subject: Subject, sampling: Sampling
) -> None:
    beside = Answer()
    subject.engine.submit(subject.request(), beside.take)
    with pytest.raises(ValueError, match=r"must lie between"):
        subject.engine.submit(subject.request(sampling=sampling), Answer().take)
    assert beside.wait().last.finish is FinishReason.LENGTH
    assert len(subject.tokens(max_tokens=2)) == 2
