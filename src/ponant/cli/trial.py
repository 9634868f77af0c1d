"""Times one backend on one model: ``python -m ponant.cli.trial SPEC``, a `WorkerSpec` as JSON.

It runs in a process of its own, so that the command line stays free of torch and two backends
never share cores. Prints one line of JSON.
"""

import random
import sys
import time
from collections.abc import Sequence
from queue import SimpleQueue
from statistics import median

import msgspec

from ponant.engine import Engine, Event, Request, Sampling
from ponant.serving.loading import open_engine
from ponant.serving.wire import WorkerSpec

PROMPT_TOKENS = 512
ANSWER_TOKENS = 64
_WARM_TOKENS = 32
_ORDINARY_IDS = (1000, 30_000)  # past the control tokens of every vocabulary we know


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend took: seconds to load, tokens a second while reading and while writing."""

    backend: str
    load_seconds: float
    prefill: float
    decode: float

    @property
    def seconds(self) -> float:
        """Time for the prompt and the answer of the trial together."""
        return PROMPT_TOKENS / self.prefill + ANSWER_TOKENS / self.decode


def middle_trial(runs: Sequence[Trial]) -> Trial:
    """The median of several runs of one backend, measure by measure."""
    return Trial(
        backend=runs[0].backend,
        load_seconds=median(run.load_seconds for run in runs),
        prefill=median(run.prefill for run in runs),
        decode=median(run.decode for run in runs),
    )


def run_trial(spec: WorkerSpec) -> Trial:
    """Load the model, warm it up, then read a prompt of 512 tokens and write 64."""
    begin = time.perf_counter()
    engine = open_engine(spec)
    loaded = time.perf_counter() - begin
    try:
        vocabulary = engine.info.vocabulary_size
        _time(engine, _prompt(_WARM_TOKENS, vocabulary, seed=0), 8)
        first, rest, written = _time(
            engine, _prompt(PROMPT_TOKENS, vocabulary, seed=1), ANSWER_TOKENS
        )
    finally:
        engine.close()
    return Trial(
        backend=spec.backend,
        load_seconds=loaded,
        prefill=PROMPT_TOKENS / first,
        decode=(written - 1) / rest,
    )


def _prompt(length: int, vocabulary: int, *, seed: int) -> list[int]:
    low, high = _ORDINARY_IDS
    draw = random.Random(seed)  # noqa: S311 - a repeatable prompt, no secret
    low, high = min(low, vocabulary // 2), min(high, vocabulary)
    return [draw.randrange(low, high) for _ in range(length)]


def _time(engine: Engine, prompt: list[int], count: int) -> tuple[float, float, int]:
    """Seconds to the first token, from there to the last, and how many there were."""
    events: SimpleQueue[tuple[float, Event]] = SimpleQueue()
    request = Request(
        id=f"trial-{len(prompt)}",
        prompt=prompt,
        max_tokens=count,
        sampling=Sampling(temperature=0),
    )
    begin = time.perf_counter()
    engine.submit(request, lambda event: events.put((time.perf_counter(), event)))
    times: list[float] = []
    while True:
        moment, event = events.get()
        times += [moment] * len(event.tokens)
        if event.finish is not None:
            break
    if event.error or len(times) < 2:
        raise RuntimeError(event.error or "the backend wrote too little to be timed")
    return times[0] - begin, max(times[-1] - times[0], 1e-9), len(times)


if __name__ == "__main__":
    _spec = msgspec.json.decode(sys.argv[1], type=WorkerSpec)
    sys.stdout.write(msgspec.json.encode(run_trial(_spec)).decode() + "\n")
