"""The native engine as a whole: batches, sharing, running out of room, and files it refuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ponant.engine import Event, FinishReason, Request, Sampling
from ponant.engine.backends import native
from ponant.engine.backends.native import NativeEngine
from ponant.engine.cache import PAGE_TOKENS, PageTable
from ponant.engine.errors import ModelFileError, ModelTooLarge
from ponant.engine.kernels import available
from ponant.engine.scheduler import Scheduler
from ponant.engine.speculate import Speculator, StepCosts
from ponant.kit import new_id
from tests.engine.collect import Collector, run_all
from tests.engine.models.checkpoints import make_model, write_folder
from tests.engine.models.published import MISTRAL_7B
from tests.engine.tiny import VOCABULARY, write_tiny


def open_tiny(path: Path, **fields: Any) -> NativeEngine:
    return NativeEngine(path, **{"context_length": 512, "threads": 1} | fields)


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Iterator[NativeEngine]:
    made = open_tiny(tiny)
    yield made
    made.close()


def request(**fields: Any) -> Request:
    plain = {"id": new_id("req"), "max_tokens": 12, "sampling": Sampling(temperature=0)}
    return Request(**plain | fields)


def prompts(count: int) -> list[list[int]]:
    """Prompts of many lengths, some beginning alike."""
    return [
        [(7 * at + at * at // 9) % VOCABULARY for at in range(1 + 23 * n)] for n in range(count)
    ]


def test_greedy_tokens_are_the_same_alone_and_in_any_batch(tiny: Path) -> None:
    engine = open_tiny(tiny)
    alone = [
        run_all(engine, [request(prompt=prompt, cache_scope=f"alone {n}")])[0].ids
        for n, prompt in enumerate(prompts(12))
    ]
    together = run_all(engine, [request(prompt=prompt) for prompt in prompts(12)])
    again = run_all(engine, [request(prompt=prompt) for prompt in reversed(prompts(12))])
    engine.close()
    assert [found.ids for found in together] == alone
    assert [found.ids for found in reversed(again)] == alone
    assert len({tuple(ids) for ids in alone}) > 6


@pytest.mark.skipif(not available(), reason="the kernels are not compiled")
@pytest.mark.parametrize("form", ["packed", "int8", "bf16", "fp32"])
def test_greedy_tokens_of_a_form_depend_on_neither_batch_nor_drafts(
    tiny: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[tuple[int, int]] = []
    monkeypatch.setattr(Speculator, "learn", lambda _, *counts: held.append(counts))
    monkeypatch.setattr(StepCosts, "worth", lambda _, rate, most: most)
    quoting = [[1 + (n + at) % (5 + n) for at in range(40 + 7 * n)] for n in range(5)]
    plain = open_tiny(tiny, weight_form=form, drafts=False)
    alone = [run_all(plain, [request(prompt=it, max_tokens=40)])[0].ids for it in quoting]
    plain.close()
    assert not held
    guessing = open_tiny(tiny, weight_form=form)
    together = run_all(guessing, [request(prompt=it, max_tokens=40) for it in quoting])
    guessing.close()
    assert [found.ids for found in together] == alone
    assert sum(right for _, right in held) > 20, "guesses were accepted"
    assert any(right < guessed for guessed, right in held), "and refused"


@pytest.mark.skipif(not available(), reason="the kernels are not compiled")
def test_weights_that_are_no_numbers_end_the_requests_that_meet_them(tmp_path: Path) -> None:
    model = make_model(MISTRAL_7B, 3)
    with torch.no_grad():
        model.get_input_embeddings().weight[7] = torch.nan
    engine = open_tiny(write_folder(model, tmp_path / "model"), context_length=128)
    good = [[3, 4, 5], [9] * 40]
    alone = [run_all(engine, [request(prompt=prompt)])[0].ids for prompt in good]
    asked = [[1, 7, 2], good[0], [7], good[1]]
    first, one, second, other = run_all(engine, [request(prompt=prompt) for prompt in asked])
    engine.close()
    for found in (first, second):
        assert found.last.finish is FinishReason.ERROR
        assert "not a number" in str(found.last.error)
    assert [one.ids, other.ids] == alone


@pytest.mark.skipif(not available(), reason="the kernels are not compiled")
def test_without_kernels_torch_gives_the_same_answers(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = prompts(5)
    answers = []
    for compiled in (True, False):
        monkeypatch.setattr(native, "available", lambda compiled=compiled: compiled)
        engine = open_tiny(tiny, weight_form="fp32")
        found = run_all(engine, [request(prompt=prompt) for prompt in asked])
        answers.append([it.ids for it in found])
        engine.close()
    assert answers[0] == answers[1]


@pytest.mark.model
def test_the_starter_says_the_same_alone_and_in_a_batch(models_home: Path) -> None:
    path = models_home / "models" / "starter" / "model.gguf"
    engine = NativeEngine(path, context_length=1024, threads=2)
    beginnings = [[2, *range(5000 + 37 * n, 5000 + 37 * n + 5 + 40 * n)] for n in range(6)]
    alone = [run_all(engine, [request(prompt=prompt)])[0].ids for prompt in beginnings]
    fresh = [request(prompt=prompt, cache_scope="fresh") for prompt in beginnings]
    together = run_all(engine, fresh)
    engine.close()
    assert [found.ids for found in together] == alone


def test_seeded_draws_do_not_depend_on_the_batch(engine: NativeEngine) -> None:
    def seeded() -> Request:
        return request(prompt=[5, 6, 7], sampling=Sampling(temperature=1.5, seed=42))

    alone = run_all(engine, [seeded()])[0].ids
    others = [request(prompt=prompt, sampling=Sampling(seed=1)) for prompt in prompts(8)]
    assert run_all(engine, [*others[:4], seeded(), *others[4:]])[4].ids == alone


def test_a_prefix_is_computed_once_in_its_scope(engine: NativeEngine) -> None:
    prompt = [11] * (4 * PAGE_TOKENS + 3)
    first, second, other = (
        run_all(engine, [request(prompt=prompt, cache_scope=scope)])[0]
        for scope in ("mine", "mine", "theirs")
    )
    assert [found.last.usage.cached_tokens for found in (first, second, other)] == [
        0,
        4 * PAGE_TOKENS,
        0,
    ]
    assert first.ids == second.ids == other.ids


def test_an_answer_is_reused_by_the_next_turn(engine: NativeEngine) -> None:
    prompt = [12] * PAGE_TOKENS
    found = run_all(engine, [request(prompt=prompt, max_tokens=PAGE_TOKENS + 1)])[0]
    following = [*prompt, *found.ids, 3]
    usage = run_all(engine, [request(prompt=following)])[0].last.usage
    assert usage is not None
    assert usage.cached_tokens == 2 * PAGE_TOKENS


def test_preempted_requests_end_with_the_same_tokens(tiny: Path) -> None:
    wide = open_tiny(tiny)
    tight = open_tiny(tiny)
    tight._scheduler = Scheduler(PageTable(6), tokens_a_step=50)
    asked = [[n] * (20 + n) for n in range(6)]
    answers = [
        run_all(engine, [request(prompt=prompt, max_tokens=70) for prompt in asked])
        for engine in (wide, tight)
    ]
    wide.close()
    tight.close()
    assert [found.ids for found in answers[0]] == [found.ids for found in answers[1]]


def test_prompt_scores_match_the_scores_of_drawing(engine: NativeEngine) -> None:
    drawn = run_all(engine, [request(prompt=[1, 2, 3], max_tokens=40, logprobs=2)])[0]
    whole = [1, 2, 3, *drawn.ids]
    scored = run_all(engine, [request(prompt=whole, max_tokens=0, prompt_logprobs=2)])[0]
    (event,) = [event for event in scored.events if event.prompt_tokens]
    assert [token.id for token in event.prompt_tokens] == whole
    assert event.prompt_tokens[0].logprob is None
    assert list(event.prompt_tokens[3:]) == drawn.tokens


def test_an_answer_ends_with_the_context(engine: NativeEngine) -> None:
    found = run_all(engine, [request(prompt=[4] * 505, max_tokens=100)])[0]
    assert found.last.finish is FinishReason.LENGTH
    assert len(found.ids) == 7
    full = run_all(engine, [request(prompt=[4] * 512, max_tokens=100)])[0]
    assert (full.last.finish, full.ids) == (FinishReason.LENGTH, [])


def test_a_caller_that_fails_harms_no_other(engine: NativeEngine) -> None:
    def refuse(event: Event) -> None:
        raise RuntimeError("no")

    engine.submit(request(prompt=[1]), refuse)
    assert len(run_all(engine, [request(prompt=[1])])[0].ids) == 12


def test_an_id_in_flight_is_refused(engine: NativeEngine) -> None:
    long, collector = request(prompt=[1], max_tokens=400), Collector()
    engine.submit(long, collector.take)
    with pytest.raises(ValueError, match="already running"):
        engine.submit(long, collector.take)
    engine.cancel(long.id)
    assert collector.wait().last.finish is FinishReason.CANCELLED


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "model.gguf", architecture="mamba")
    with pytest.raises(ModelFileError, match=r"mamba.*gemma3.*llamacpp"):
        open_tiny(path)


def test_a_model_too_large_is_refused_before_it_is_loaded(tiny: Path) -> None:
    with pytest.raises(ModelTooLarge, match=r"needs about .* GB"):
        open_tiny(tiny, memory=1 << 20)


def test_a_file_that_lacks_a_tensor_is_refused(tiny: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "model.gguf"
    damaged.write_bytes(tiny.read_bytes().replace(b"blk.3.attn_q.weight", b"blk.3.attn_x.weight"))
    with pytest.raises(ModelFileError, match=r"lacks the tensor blk\.3\.attn_q\.weight"):
        open_tiny(damaged)


def test_metadata_that_cannot_be_is_refused(tiny: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "model.gguf"
    damaged.write_bytes(tiny.read_bytes().replace(b"gemma3.block_count", b"gemma3.block_xxxxx"))
    with pytest.raises(ModelFileError, match=r"gemma3\.block_count"):
        open_tiny(damaged)
