"""The engine over a small decoder that reads its own pages: what callers get, whatever runs."""

import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ponant.engine import Capabilities, EngineInfo, Event, FinishReason, Request, Sampling
from ponant.engine.cache import PageTable
from ponant.engine.decoder import Batch, Floats
from ponant.engine.loop import DecoderEngine
from ponant.engine.port import Constraint, ConstraintFactory
from ponant.engine.sampling import Sampler, draw_rows
from ponant.engine.scheduler import Scheduler
from ponant.engine.speculate import Speculator, StepCosts
from ponant.kit import new_id
from ponant.serving.echo import load_echo_tokenizer
from ponant.text.grammar import GrammarConstraint, constraint_factory, json_schema, regex
from tests.engine.collect import Collector, run_all
from tests.fakes.decoder import FakeDecoder
from tests.patience import PATIENCE

VOCABULARY = 259  # bytes and three marks
CONTEXT = 256
GREEDY = Sampling(temperature=0)


@dataclass
class Bench:
    """An engine with its parts in reach."""

    pages: int = 200
    drafts: bool = True
    constraints: ConstraintFactory | None = None
    tokens_a_step: int = 64
    vocabulary: int = VOCABULARY
    decoder: FakeDecoder = field(init=False)
    table: PageTable = field(init=False)
    engine: DecoderEngine = field(init=False)

    def __post_init__(self) -> None:
        self.decoder = FakeDecoder(self.vocabulary, self.pages, CONTEXT)
        self.table = PageTable(self.pages)
        capabilities = Capabilities(
            grammar=True,
            logit_bias=True,
            logprobs=True,
            prompt_logprobs=True,
            penalties=True,
            min_tokens=True,
            drafts=self.drafts,
        )
        info = EngineInfo(
            backend="native",
            model_hash="0" * 64,
            weight_form="fp32",
            context_length=CONTEXT,
            vocabulary_size=self.vocabulary,
            resident_bytes=0,
            capabilities=capabilities,
        )
        scheduler = Scheduler(self.table, tokens_a_step=self.tokens_a_step)
        self.engine = DecoderEngine(self.decoder, info, scheduler, constraints=self.constraints)

    def run(self, *requests: Request) -> list[Collector]:
        return run_all(self.engine, list(requests))

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()


@pytest.fixture(scope="module")
def grammars() -> ConstraintFactory:
    return constraint_factory(load_echo_tokenizer())


@pytest.fixture(scope="module")
def bench(grammars: ConstraintFactory) -> Iterator[Bench]:
    with Bench(constraints=grammars) as made:
        yield made


def request(prompt: Sequence[int], **fields: Any) -> Request:
    plain = {"id": new_id("req"), "max_tokens": 30, "sampling": GREEDY}
    return Request(prompt=list(prompt), **plain | fields)


def reference(request: Request, grammars: ConstraintFactory | None = None) -> list[int]:
    """The answer of a loop that runs one request, token by token, without a cache."""
    decoder = FakeDecoder(VOCABULARY, 64, CONTEXT)
    sampler = Sampler(request)
    constraint = grammars(request.grammar) if grammars and request.grammar else None
    tokens = list(request.prompt)
    last = min(CONTEXT, len(tokens) + request.max_tokens)
    due = list(constraint.forced()) if constraint and request.logprobs is None else []
    while len(tokens) < last:
        if due:
            token = due.pop(0)
        else:
            mask = constraint.mask() if constraint else None
            token = draw_rows([sampler.draw(mask=mask)], scores(decoder, tokens))[0].id
            if token in request.stop_tokens:
                break
        tokens.append(token)
        sampler.note(token)
        if constraint is not None and _ends(constraint, token):
            break
        if constraint is not None and not due and request.logprobs is None:
            due = list(constraint.forced())
    return tokens[len(request.prompt) :]


def _ends(constraint: Constraint, token: int) -> bool:
    assert constraint.accept(token)
    return constraint.complete


def scores(decoder: FakeDecoder, tokens: list[int]) -> np.ndarray:
    """Logits behind the tokens, shape (1, vocabulary)."""
    pages = np.arange(1, -(-len(tokens) // 16) + 1, dtype=np.int32)
    edges = np.array([0, len(tokens)], np.int32)
    batch = Batch(
        tokens=np.array(tokens, np.int32),
        starts=edges,
        positions=np.zeros(1, np.int32),
        page_starts=np.array([0, len(pages)], np.int32),
        pages=pages,
        wanted=np.array([len(tokens) - 1], np.int32),
    )
    return decoder.logits(decoder.forward(batch))


def test_the_answer_is_that_of_a_plain_loop(bench: Bench) -> None:
    asked = [request(range(n, 3 * n + 1)) for n in range(0, 40, 5)]
    for found, one in zip(bench.run(*asked), asked, strict=True):
        assert found.ids == reference(one)
        assert found.last.finish is FinishReason.LENGTH


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=0.1, seed=5)])
def test_drafts_save_steps_and_change_nothing(sampling: Sampling) -> None:
    quoting = [*b"the boats come home in the evening, and "] * 3
    asked = request(quoting, max_tokens=100, sampling=sampling)
    steps, answers = [], []
    for drafts in (True, False):
        with Bench(drafts=drafts) as bench:
            answers.append(bench.run(asked)[0].ids)
            steps.append(bench.decoder.steps)
    assert answers[0] == answers[1] == reference(asked)
    assert steps[0] < steps[1]


def test_scores_are_computed_where_a_token_is_drawn_and_nowhere_else() -> None:
    with Bench(drafts=False) as bench:
        bench.run(request([1, 2, 3] * 60, max_tokens=5), request([4] * 70, max_tokens=3))
        assert bench.decoder.rows > 250
        assert bench.decoder.scored == 5 + 3


def test_a_step_of_several_tokens_is_one_event() -> None:
    with Bench() as bench:
        found = bench.run(request([1, 2, 3] * 20, max_tokens=150))[0]
    assert max(len(event.tokens) for event in found.events) > 1
    assert len(found.ids) == 150


def test_log_probabilities_come_with_drafts_too() -> None:
    asked = request([1, 2, 3] * 20, max_tokens=150, logprobs=2)
    found = []
    for drafts in (True, False):
        with Bench(drafts=drafts) as bench:
            found.append(bench.run(asked)[0].tokens)
    assert found[0] == found[1]
    assert all(len(token.top) == 2 for token in found[0])


def test_prompt_scores_survive_chunks_and_drawing(bench: Bench) -> None:
    drawn = bench.run(request([1, 2, 3], max_tokens=150, logprobs=1))[0]
    whole = [1, 2, 3, *drawn.ids]
    scored = bench.run(request(whole, max_tokens=2, prompt_logprobs=1))[0]
    (event,) = [event for event in scored.events if event.prompt_tokens]
    assert [token.id for token in event.prompt_tokens] == whole
    assert list(event.prompt_tokens[3:]) == drawn.tokens
    assert len(scored.ids) == 2


def test_what_the_grammar_forces_is_not_drawn(bench: Bench) -> None:
    before = bench.decoder.steps
    found = bench.run(request([1, 2], grammar='start: "everything is said"', max_tokens=50))[0]
    assert bytes(found.ids) == b"everything is said"
    assert found.last.finish is FinishReason.STOP
    assert found.last.usage is not None
    assert found.last.usage.completion_tokens == len(found.ids)
    assert bench.decoder.steps == before


def test_masks_are_computed_beside_the_step(
    grammars: ConstraintFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder waits in its first step until somebody computes a mask."""
    asked, mask = threading.Event(), GrammarConstraint.mask

    def told(self: GrammarConstraint) -> NDArray[np.uint32]:
        asked.set()
        return mask(self)

    def waiting(self: FakeDecoder, batch: Batch) -> Floats:
        assert asked.wait(PATIENCE), "no mask was computed during the step"
        return forward(self, batch)

    forward = FakeDecoder.forward
    monkeypatch.setattr(GrammarConstraint, "mask", told)
    monkeypatch.setattr(FakeDecoder, "forward", waiting)
    with Bench(constraints=grammars) as bench:
        found = bench.run(request([1, 2], grammar=regex("[ab]{3}")))[0]
    assert found.last.finish is FinishReason.STOP
    assert {*found.ids} <= {*b"ab"}


def test_a_jump_is_cut_at_the_limit(bench: Bench) -> None:
    found = bench.run(request([1, 2], grammar='start: "everything is said"', max_tokens=5))[0]
    assert bytes(found.ids) == b"every"
    assert found.last.finish is FinishReason.LENGTH


def test_log_probabilities_are_told_of_every_token_of_a_grammar(bench: Bench) -> None:
    found = bench.run(request([1, 2], grammar='start: "abc"', logprobs=0))[0]
    assert bytes(found.ids) == b"abc"
    assert all(token.logprob is not None for token in found.tokens)


def test_a_grammar_holds_with_drafts(grammars: ConstraintFactory) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 9}, "age": {"type": "integer"}},
        "required": ["name", "age"],
    }
    text = b'{"name": "anna", "age": 3} {"name": "anna", "age": 31} '
    for seed in range(12):
        asked = request(
            [*text, *text],
            grammar=json_schema(schema),
            max_tokens=90,
            sampling=Sampling(temperature=0.9, seed=seed),
        )
        with Bench(constraints=grammars) as bench:
            assert bench.run(asked)[0].ids == reference(asked, grammars)


def test_a_cancelled_request_leaves_before_the_next_step() -> None:
    with Bench(drafts=False) as bench:
        doomed, collector, begun = request([1], max_tokens=200), Collector(), threading.Event()

        def take(event: Event) -> None:
            collector.take(event)
            if event.tokens and not begun.is_set():
                begun.set()
                bench.engine.cancel(doomed.id)  # from within the step, as late as can be

        bench.engine.submit(doomed, take)
        collector.wait()
        assert collector.last.finish is FinishReason.CANCELLED
        assert len(collector.ids) == 1
        assert bench.table.available == bench.pages


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FloatingPointError("nan"), "not a number"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("secret path"), "see its log"),
    ],
)
def test_a_failed_step_ends_its_own_requests_alone(error: Exception, words: str) -> None:
    with Bench() as bench:
        bench.decoder.fail_next = error
        found = bench.run(request([1, 2, 3]))[0]
        assert found.last.finish is FinishReason.ERROR
        assert words in str(found.last.error)
        assert "secret" not in str(found.last.error)
        assert bench.table.available == bench.pages
        fine = request([1, 2, 3])
        assert bench.run(fine)[0].ids == reference(fine)


def test_scores_that_are_no_numbers_end_one_request() -> None:
    with Bench() as bench:
        bench.decoder.poison = 200
        bad, good = request([1, 200]), request([1, 201])
        found = bench.run(bad, good)
        assert found[0].last.finish is FinishReason.ERROR
        assert "not numbers" in str(found[0].last.error)
        assert found[1].last.finish is FinishReason.LENGTH


def test_a_state_that_is_no_number_ends_the_request_that_it_is_of(
    grammars: ConstraintFactory,
) -> None:
    with Bench(constraints=grammars) as bench:
        bench.decoder.poison, bench.decoder.refuses = 200, True
        bad = [request([1, 2, 200, 3]), request([200])]
        good = [request([1, 201]), request([4] * 40), request([5], grammar=regex("[0-9]{4}"))]
        found = bench.run(bad[0], *good, bad[1])
        assert [found[0].last.finish, found[-1].last.finish] == [FinishReason.ERROR] * 2
        assert "not a number" in str(found[0].last.error)
        assert [one.ids for one in found[1:-1]] == [reference(one, grammars) for one in good]
        assert bench.table.available == bench.pages


def test_sampled_answers_follow_the_distribution_with_drafts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Chi-square of three tokens against what the scores say, guessing wherever it is possible."""
    draws, vocabulary, warmth = 3000, 6, 2.0
    accepted = rejected = 0

    def learn(self: Speculator, guessed: int, held: int) -> None:
        nonlocal accepted, rejected
        accepted, rejected = accepted + held, rejected + (held < guessed)

    monkeypatch.setattr(Speculator, "learn", learn)
    monkeypatch.setattr(StepCosts, "worth", lambda self, rate, most: most)
    chance = random.Random(7)
    prompt = [chance.randrange(vocabulary) for _ in range(60)]
    counts: Counter[tuple[int, ...]] = Counter()
    with Bench(vocabulary=vocabulary, tokens_a_step=512, pages=400) as bench:
        for start in range(0, draws, 50):
            copies = [
                request(prompt, max_tokens=4, sampling=Sampling(temperature=warmth, seed=seed))
                for seed in range(start, start + 50)
            ]
            counts.update(tuple(found.ids[:3]) for found in bench.run(*copies))
    assert accepted > 500
    assert rejected > 500
    exact = _exact_chances(prompt, 3, vocabulary, warmth)
    often = [key for key, chance in exact.items() if chance * draws >= 5]
    cells = [(counts[key], exact[key] * draws) for key in often]
    cells.append((draws - sum(seen for seen, _ in cells), draws - sum(due for _, due in cells)))
    statistic = sum((seen - due) ** 2 / due for seen, due in cells)
    freedom = len(cells) - 1
    assert statistic < freedom + 5 * (2 * freedom) ** 0.5


def _exact_chances(
    prompt: list[int], count: int, vocabulary: int, temperature: float
) -> dict[tuple[int, ...], float]:
    """How likely each run of so many tokens is behind a prompt, from the scores alone."""
    decoder = FakeDecoder(vocabulary, 64, CONTEXT)
    found: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(count):
        longer: dict[tuple[int, ...], float] = {}
        for run, chance in found.items():
            masses = np.exp(scores(decoder, [*prompt, *run])[0].astype(np.float64) / temperature)
            for token, share in enumerate((masses / masses.sum()).tolist()):
                longer[*run, token] = chance * share
        found = longer
    return found


def test_hundreds_of_requests_equal_a_plain_loop(grammars: ConstraintFactory) -> None:
    """Shared prefixes, grammars, cancellations, drafts, few pages: texts and pages stay exact."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    prefixes = [[chance.randrange(90) for _ in range(chance.randrange(1, 90))] for _ in range(6)]
    with Bench(pages=40, constraints=grammars) as bench:
        asked = [any_request(chance, prefixes) for _ in range(300)]
        collectors = [Collector() for _ in asked]
        doomed = {one.id for one in asked if chance.random() < 0.1}
        for one, collector in zip(asked, collectors, strict=True):
            bench.engine.submit(one, collector.take)
            if chance.random() < 0.5:
                for other in doomed:
                    bench.engine.cancel(other)
        for one, collector in zip(asked, collectors, strict=True):
            found, wanted = collector.wait(), reference(one, grammars)
            if found.last.finish is FinishReason.CANCELLED:
                assert one.id in doomed
                assert found.ids == wanted[: len(found.ids)], f"seed {seed}"
            else:
                assert found.ids == wanted, f"seed {seed}, {one}"
        assert bench.table.available == bench.pages, f"seed {seed}"


def any_request(
    chance: random.Random,
    prefixes: list[list[int]],
    lengths: Sequence[int] = (0, 1, 5, 40, 100),
) -> Request:
    """A request of any kind, of so many tokens."""
    prompt = [*chance.choice(prefixes), *(chance.randrange(90) for _ in range(chance.randrange(9)))]
    sampling = chance.choice(
        [
            GREEDY,
            Sampling(temperature=0.7, seed=chance.randrange(99)),
            Sampling(temperature=1.2, top_k=5, top_p=0.9, min_p=0.01, seed=3),
            Sampling(temperature=0, repetition_penalty=1.3, presence_penalty=0.5),
            Sampling(temperature=0.5, frequency_penalty=0.3, logit_bias={5: 2.0}, seed=8),
        ]
    )
    grammar = chance.choice([None, None, regex("[a-f]{3,20}(end|END)"), regex("(ab|ba)*stop")])
    return request(
        prompt,
        sampling=sampling,
        grammar=grammar,
        max_tokens=chance.choice(lengths),
        stop_tokens=chance.choice([(), (7, 8)]),
        min_tokens=chance.choice([0, 4]),
        cache_scope=chance.choice("ab"),
        owner=chance.choice("ab"),
        logprobs=chance.choice([None, None, 0]),
    )
