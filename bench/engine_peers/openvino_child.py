"""OpenVINO GenAI under measurement: its continuous-batching pipeline over an exported model."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai

from bench.engine_peers.child import Answer, serve

_CHUNK = 256  # tokens whose logits are held at once when scoring


class OpenVino:
    """One stream runs on the plain pipeline or the batching one, whichever the options name."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._path = Path(options["model"])
        self._properties = {
            "INFERENCE_NUM_THREADS": options["threads"],
            **options.get("properties", {}),
        }
        self._batching: Any = None
        self._plain: Any = None
        if options.get("scoring"):
            return
        if options.get("pipeline", "batching") == "batching":
            scheduler = openvino_genai.SchedulerConfig()
            scheduler.cache_size = options.get("cache_gb", 2)
            scheduler.max_num_seqs = 256
            scheduler.max_num_batched_tokens = options.get("batch", 2048)
            scheduler.enable_prefix_caching = False
            self._batching = openvino_genai.ContinuousBatchingPipeline(
                str(self._path), scheduler, "CPU", self._properties
            )
        else:
            self._plain = openvino_genai.LLMPipeline(
                str(self._path), "CPU", ATTENTION_BACKEND="SDPA", **self._properties
            )

    def generate(self, prompts: Sequence[list[int]], tokens: int, **_: Any) -> list[Answer]:
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = config.min_new_tokens = tokens
        config.ignore_eos = True
        config.do_sample = False
        config.apply_chat_template = False
        inputs = [openvino.Tensor(np.array([prompt], np.int64)) for prompt in prompts]
        if self._plain is not None:
            return [self._one(inputs[0], config)]
        started = time.perf_counter()
        handles = [
            self._batching.add_request(number, tensor, config)
            for number, tensor in enumerate(inputs)
        ]
        answers = [Answer(0.0, 0.0) for _ in handles]
        while self._batching.has_non_finished_requests():
            self._batching.step()
            now = time.perf_counter() - started
            for handle, answer in zip(handles, answers, strict=True):
                _take(handle, answer, now)
        return answers

    def score(self, windows: Sequence[list[int]]) -> list[float]:
        core = openvino.Core()
        model = core.compile_model(str(self._path / "openvino_model.xml"), "CPU", self._properties)
        return [_score(model.create_infer_request(), window) for window in windows]

    def _one(self, tensor: Any, config: Any) -> Answer:
        started = time.perf_counter()
        result = self._plain.generate(tensor, config)
        wall = time.perf_counter() - started
        first = result.perf_metrics.get_ttft().mean / 1000
        return Answer(first, wall, [int(token) for token in result.tokens[0]])


def _take(handle: Any, answer: Answer, now: float) -> None:
    if not handle.can_read():
        return
    for output in handle.read().values():
        if not answer.ids:
            answer.first = now
        answer.ids.extend(int(token) for token in output.generated_ids)
        answer.last = now


def _score(request: Any, window: list[int]) -> float:
    request.reset_state()
    names = {name for port in request.model_inputs for name in port.get_names()}
    total = 0.0
    for start in range(0, len(window) - 1, _CHUNK):
        part = window[start : min(start + _CHUNK, len(window) - 1)]
        end = start + len(part)
        inputs = {
            "input_ids": np.array([part], np.int64),
            "attention_mask": np.ones((1, end), np.int64),
            "position_ids": np.arange(start, end, dtype=np.int64)[None],
            "beam_idx": np.zeros(1, np.int32),
        }
        request.infer({name: value for name, value in inputs.items() if name in names})
        logits = request.get_tensor("logits").data[0]
        top = logits.max(-1, keepdims=True)
        sums = top[:, 0] + np.log(np.exp(logits - top).sum(-1, dtype=np.float64))
        chosen = logits[np.arange(len(part)), window[start + 1 : end + 1]]
        total += float((sums - chosen).sum())
    return total


if __name__ == "__main__":
    serve(OpenVino)
