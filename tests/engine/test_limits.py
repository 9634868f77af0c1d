"""Numbers that would break a step for everybody are refused at the door."""

import math
from typing import Any

import pytest

from ponant.engine import Capabilities, EngineInfo, Request, Sampling
from ponant.engine.limits import LARGEST_SEED, check_request

INFO = EngineInfo(
    backend="none",
    model_hash="",
    weight_form="none",
    context_length=8,
    vocabulary_size=10,
    resident_bytes=0,
    capabilities=Capabilities(),
)


def request(prompt: list[int], **sampling: Any) -> Request:
    return Request(id="x", prompt=prompt, max_tokens=1, sampling=Sampling(**sampling))


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"temperature": -1.0},
        {"temperature": 1e-300},
        {"top_p": 0.0},
        {"top_p": math.nan},
        {"min_p": -0.1},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": 1e-300},
        {"presence_penalty": math.inf},
        {"frequency_penalty": math.nan},
        {"seed": -1},
        {"seed": LARGEST_SEED + 1},
        {"logit_bias": {3: math.nan}},
        {"logit_bias": {3: -math.inf}},
        {"logit_bias": {3: 1e308}},
        {"logit_bias": {10: 1.0}},
        {"logit_bias": {-1: 1.0}},
    ],
    ids=str,
)
def test_a_number_that_breaks_a_step_is_refused(sampling: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must lie between|outside the vocabulary"):
        check_request(request([1], **sampling), INFO)


@pytest.mark.parametrize("prompt", [[], [10], [-1], [1] * 9])
def test_a_prompt_that_does_not_fit_is_refused(prompt: list[int]) -> None:
    with pytest.raises(ValueError, match=r"prompt|outside"):
        check_request(request(prompt), INFO)


@pytest.mark.parametrize(
    "sampling", [{}, {"temperature": 0.0}, {"seed": LARGEST_SEED}, {"logit_bias": {9: -100.0}}]
)
def test_the_rest_passes(sampling: dict[str, Any]) -> None:
    check_request(request([1] * 8, **sampling), INFO)
