"""What a request may ask of any backend: numbers beyond these would break a step for everybody."""

import math
from typing import Final

from ponant.engine.port import EngineInfo, Request, Sampling

LEAST_TEMPERATURE: Final = 1e-6  # above 0; logits divided by less leave float32
LARGEST_BIAS: Final = 1e6
LARGEST_PENALTY: Final = 1e3
LARGEST_SEED: Final = 2**63 - 1


def check_request(request: Request, info: EngineInfo) -> None:
    """Refuse what no backend can run.

    Raises:
        ValueError: prompt empty or too long, ids outside the vocabulary, or a number of the
            sampling that is not finite or out of bounds.
    """
    if not request.prompt:
        raise ValueError("the prompt is empty")
    if len(request.prompt) > info.context_length:
        raise ValueError(
            f"the prompt has {len(request.prompt)} tokens; the context holds {info.context_length}"
        )
    ids = (*request.prompt, *request.sampling.logit_bias, *request.stop_tokens)
    if any(not 0 <= token < info.vocabulary_size for token in ids):
        raise ValueError("a token id lies outside the vocabulary")
    if max(request.logprobs or 0, request.prompt_logprobs or 0) > info.vocabulary_size:
        raise ValueError("more alternatives are asked for than there are tokens")
    _check_sampling(request.sampling)


def _check_sampling(sampling: Sampling) -> None:
    """Each comparison fails for NaN, so that NaN passes none."""
    bounds = (
        ("temperature", sampling.temperature, LEAST_TEMPERATURE, 1e3),
        ("top_p", sampling.top_p, math.ulp(0.0), 1.0),
        ("min_p", sampling.min_p, 0.0, 1.0),
        ("repetition_penalty", sampling.repetition_penalty, 1 / LARGEST_PENALTY, LARGEST_PENALTY),
        ("presence_penalty", sampling.presence_penalty, -LARGEST_PENALTY, LARGEST_PENALTY),
        ("frequency_penalty", sampling.frequency_penalty, -LARGEST_PENALTY, LARGEST_PENALTY),
        ("seed", sampling.seed or 0, 0, LARGEST_SEED),
    )
    for name, value, least, most in bounds:
        greedy = name == "temperature" and value == 0
        if not greedy and not least <= value <= most:
            raise ValueError(f"{name} is {value:g}; it must lie between {least:g} and {most:g}")
    if not all(abs(bias) <= LARGEST_BIAS for bias in sampling.logit_bias.values()):
        raise ValueError(f"a logit bias must lie between {-LARGEST_BIAS:g} and {LARGEST_BIAS:g}")
