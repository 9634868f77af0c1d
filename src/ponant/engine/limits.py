"""What a request may ask of any backend: numbers beyond these would break a step for everybody."""

import math
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from ponant.engine.backlog import Backlog
from ponant.engine.port import EngineInfo, Request, Sampling

Grammar = TypeVar("Grammar")
Run = TypeVar("Run")

LEAST_TEMPERATURE: Final = 1e-6  # above 0; logits divided by less leave float32
LARGEST_BIAS: Final = 1e6
LARGEST_PENALTY: Final = 1e3
LARGEST_SEED: Final = 2**63 - 1


def admit(
    request: Request, info: EngineInfo, grammars: Callable[[str], Grammar] | None
) -> Grammar | None:
    """Check a request and read its grammar, if it has one.

    Args:
        grammars: what reads grammars; None where the engine was started without.

    Raises:
        ValueError: the engine cannot run the request; the message says why.
    """
    check_request(request, info)
    for name, capability in _uses(request):
        if not getattr(info.capabilities, capability):
            raise ValueError(f"the {info.backend} backend does not offer {name}")
    if request.grammar is None:
        return None
    if grammars is None:
        raise ValueError("this engine was started without grammars")
    return grammars(request.grammar)


def enter(
    runs: dict[str, Run],
    request: Request,
    run: Run,
    *,
    closed: bool,
    backlog: Backlog | None = None,
) -> None:
    """Note that a request is in flight; the caller holds the lock over ``runs``.

    Raises:
        ValueError: the engine is closed, or the id is in flight already.
        QueueFull: as many wait as may.
    """
    if closed:
        raise ValueError("the engine is closed")
    if request.id in runs:
        raise ValueError(f"a request with the id {request.id} is already running")
    if backlog is not None:
        backlog.enter(request)
    runs[request.id] = run


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


def _uses(request: Request) -> Iterator[tuple[str, str]]:
    """What a request asks for beyond plain generation, and the capability that it needs.

    A grammar is left out: its lack has words of its own.
    """
    sampling = request.sampling
    if sampling.logit_bias:
        yield "logit_bias", "logit_bias"
    if sampling.repetition_penalty != 1:
        yield "repetition_penalty", "penalties"
    if sampling.presence_penalty:
        yield "presence_penalty", "penalties"
    if sampling.frequency_penalty:
        yield "frequency_penalty", "penalties"
    if request.logprobs is not None:
        yield "logprobs", "logprobs"
    if request.prompt_logprobs is not None:
        yield "prompt_logprobs", "prompt_logprobs"
    if request.min_tokens:
        yield "min_tokens", "min_tokens"
