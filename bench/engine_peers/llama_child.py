"""llama.cpp built on this machine, called in process through its C interface.

Greedy sampling runs in llama.cpp's own sampler; a step of several streams is one ``llama_decode``.
"""

import ctypes
import time
from collections.abc import Sequence
from typing import Any

import llama_cpp  # type: ignore[import-not-found]
import numpy as np

from bench.engine_peers.child import Answer, serve


class Llama:
    """A model and a context with as many sequences as there may be streams."""

    def __init__(self, options: dict[str, Any]) -> None:
        llama_cpp.llama_backend_init()
        model = llama_cpp.llama_model_default_params()
        model.use_extra_bufts = options.get("repack", True)
        loaded = llama_cpp.llama_model_load_from_file(options["model"].encode(), model)
        if not loaded:
            raise RuntimeError("llama.cpp does not load the model")
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(loaded))
        self._batch_size = options.get("batch", 512)
        self._context = llama_cpp.llama_init_from_model(loaded, self._parameters(options))
        if not self._context:
            raise RuntimeError("llama.cpp makes no context")
        self._memory = llama_cpp.llama_get_memory(self._context)
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_greedy())
        self._sampler = chain

    def generate(self, prompts: Sequence[list[int]], tokens: int, **_: Any) -> list[Answer]:
        llama_cpp.llama_memory_clear(self._memory, False)  # noqa: FBT003 - a C function
        answers: list[Answer] = []
        started = time.perf_counter()
        for number, prompt in enumerate(prompts):
            self._prefill(number, prompt)
            now = time.perf_counter() - started
            answers.append(Answer(now, now, [self._draw(-1)]))
        for step in range(1, tokens):
            rows = [
                (answer.ids[-1], len(prompt) + step - 1, number, True)
                for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
            ]
            self._decode(rows)
            for number, answer in enumerate(answers):
                answer.ids.append(self._draw(number))
            now = time.perf_counter() - started
            for answer in answers:
                answer.last = now
        return answers

    def score(self, windows: Sequence[list[int]]) -> list[float]:
        return [self._score(window) for window in windows]

    def _score(self, window: list[int]) -> float:
        llama_cpp.llama_memory_clear(self._memory, False)  # noqa: FBT003 - a C function
        total = 0.0
        for start in range(0, len(window) - 1, self._batch_size):
            part = window[start : min(start + self._batch_size, len(window) - 1)]
            self._decode([(token, start + i, 0, True) for i, token in enumerate(part)])
            for i in range(len(part)):
                row = llama_cpp.llama_get_logits_ith(self._context, i)
                logits = np.ctypeslib.as_array(row, (self._vocabulary,))
                top = float(logits.max())
                log_sum = top + float(np.log(np.exp(logits - top).sum(dtype=np.float64)))
                total += log_sum - float(logits[window[start + i + 1]])
        return total

    def _parameters(self, options: dict[str, Any]) -> Any:
        parameters = llama_cpp.llama_context_default_params()
        streams = options.get("streams", 1)
        parameters.n_ctx = options["context"] * streams if streams > 1 else options["context"]
        parameters.n_seq_max = streams
        parameters.n_batch = max(self._batch_size, streams)
        parameters.n_ubatch = max(self._batch_size, streams)
        parameters.n_threads = options["threads"]
        parameters.n_threads_batch = options["threads"]
        if "flash" in options:
            parameters.flash_attn_type = options["flash"]
        return parameters

    def _prefill(self, number: int, prompt: list[int]) -> None:
        for start in range(0, len(prompt), self._batch_size):
            part = prompt[start : start + self._batch_size]
            self._decode(
                [
                    (token, start + i, number, start + i == len(prompt) - 1)
                    for i, token in enumerate(part)
                ]
            )

    def _decode(self, rows: Sequence[tuple[int, int, int, bool]]) -> None:
        batch = llama_cpp.llama_batch_init(len(rows), 0, 1)
        batch.n_tokens = len(rows)
        for i, (token, position, number, wanted) in enumerate(rows):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = number
            batch.logits[i] = wanted
        failed = llama_cpp.llama_decode(self._context, batch)
        llama_cpp.llama_batch_free(batch)
        if failed:
            raise RuntimeError(f"llama_decode says {failed}")

    def _draw(self, row: int) -> int:
        return int(
            llama_cpp.llama_sampler_sample(self._sampler, self._context, ctypes.c_int32(row))
        )


if __name__ == "__main__":
    serve(Llama)
