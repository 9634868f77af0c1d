"""The ``xllamacpp`` wheel: llama.cpp's server, called in process without HTTP."""

import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xllamacpp

from bench.engine_peers.child import Answer, serve


class Wheel:
    """The server with as many slots as there may be streams."""

    def __init__(self, options: dict[str, Any]) -> None:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = options["model"]
        streams = options.get("streams", 1)
        parameters.n_ctx = options["context"] * streams
        parameters.n_parallel = streams
        parameters.n_batch = parameters.n_ubatch = options.get("batch", 512)
        parameters.cache_prompt = False
        parameters.cache_ram_mib = 0
        parameters.fit_params = False
        parameters.warmup = False
        parameters.ui = False
        parameters.verbosity = -1
        self._folder = tempfile.TemporaryDirectory()
        parameters.hostnames = [str(Path(self._folder.name) / "llama.sock")]
        for cpu in (parameters.cpuparams, parameters.cpuparams_batch):
            cpu.n_threads = options["threads"]
        self._server = xllamacpp.Server(parameters)

    def generate(self, prompts: Sequence[list[int]], tokens: int, **_: Any) -> list[Answer]:
        answers: dict[int, Answer] = {}
        started = time.perf_counter()
        threads = [
            threading.Thread(target=self._ask, args=(number, prompt, tokens, started, answers))
            for number, prompt in enumerate(prompts)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [answers[number] for number in range(len(prompts))]

    def score(self, windows: Sequence[list[int]]) -> list[float]:
        raise NotImplementedError("the wheel's server scores no prompts; the built library does")

    def _ask(
        self,
        number: int,
        prompt: list[int],
        tokens: int,
        started: float,
        answers: dict[int, Answer],
    ) -> None:
        body = {
            "prompt": prompt,
            "n_predict": tokens,
            "ignore_eos": True,
            "stream": False,
            "cache_prompt": False,
            "temperature": 0.0,
            "samplers": ["top_k"],
            "top_k": 1,
            "timings_per_token": False,
        }
        replies: list[dict[str, Any]] = []

        def take(reply: dict[str, Any]) -> bool:
            replies.append(reply)
            return False  # go on

        self._server.handle_completions(body, take)
        wall = time.perf_counter() - started
        timings = replies[-1]["timings"]
        # The server's own clock: its answer comes whole, so that no piece of it costs a callback.
        answers[number] = Answer(wall - timings["predicted_ms"] / 1000, wall)


if __name__ == "__main__":
    serve(Wheel)
