"""An embedding engine in a process of its own: JSON lines in, JSON lines out.

It imports Ponant or a peer, never both, since each lives in an environment of its own. Every engine
gets texts and tokenises them itself; the peers' batches are as their documents advise.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Embed = Callable[[Sequence[str]], Any]


def ponant(options: dict[str, Any]) -> Embed:
    from ponant.engine.encoders.embedder import BertEncoder
    from ponant.engine.encoders.load import load_encoder, read_weights
    from ponant.engine.kernels.encoder import KernelBert
    from ponant.engine.kernels.library import Form
    from ponant.text.tokenizer import load_tokenizer

    folder = Path(options["model"])
    tokenizer = load_tokenizer(folder, folder / "cache")
    threads = options["threads"]
    if form := options.get("form"):
        weights = read_weights(folder)
        encoder = BertEncoder(weights, KernelBert(weights, threads, Form[form]))
    else:
        encoder = load_encoder(folder, threads)
    return lambda texts: encoder.encode(tokenizer.encode_prompts(texts))


def sentence_transformers(options: dict[str, Any]) -> Embed:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(options["threads"])
    model = SentenceTransformer(options["model"], device="cpu")
    if options.get("dtype") == "bfloat16":
        model = model.bfloat16()

    def embed(texts: Sequence[str]) -> Any:
        found = model.encode(
            list(texts), batch_size=64, convert_to_tensor=True, normalize_embeddings=True
        )
        return found.float().numpy()

    return embed


def onnxruntime(options: dict[str, Any]) -> Embed:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options["threads"]
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(options["onnx"], settings, ["CPUExecutionProvider"])
    return _pooled(options, lambda feeds: session.run(None, feeds)[0])


def openvino(options: dict[str, Any]) -> Embed:
    import openvino as ov

    core = ov.Core()
    properties = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": options["threads"],
        **options.get("properties", {}),
    }
    model = core.read_model(options["onnx"])
    if options.get("compress"):
        import nncf

        model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    request = core.compile_model(model, "CPU", properties).create_infer_request()
    return _pooled(options, lambda feeds: request.infer(feeds, share_inputs=True)[0])


def _pooled(options: dict[str, Any], run: Callable[[dict[str, Any]], Any]) -> Embed:
    """Padded batches of texts of like length, and the mean over each text's states."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(options["model"]) / "tokenizer.json"))
    tokenizer.enable_truncation(options["tokens"])
    tokenizer.enable_padding()

    def batch(texts: Sequence[str]) -> Any:
        encoded = tokenizer.encode_batch(list(texts))
        ids, mask, types = (
            np.array([getattr(one, name) for one in encoded], np.int64)
            for name in ("ids", "attention_mask", "type_ids")
        )
        states = run({"input_ids": ids, "attention_mask": mask, "token_type_ids": types})
        means = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def embed(texts: Sequence[str]) -> Any:
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        rows = max(1, options.get("rows", 64))
        groups = [order[start : start + rows] for start in range(0, len(order), rows)]
        vectors = np.empty((len(texts), 384), np.float32)
        for group in groups:
            vectors[group] = batch([texts[place] for place in group])
        return vectors

    return embed


_KINDS = {
    "ponant": ponant,
    "sentence-transformers": sentence_transformers,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
}


def main() -> None:
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what an engine says goes to the error stream
    options = json.loads(sys.stdin.readline())
    embed = _KINDS[options["kind"]](options)
    replies.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        command = json.loads(line)
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(command["times"]):
            vectors = embed(command["texts"])
        answer = {
            "wall": (time.perf_counter() - wall) / command["times"],
            "processor": (time.process_time() - processor) / command["times"],
        }
        if command.get("vectors"):
            answer["vectors"] = np.asarray(vectors).tolist()
        replies.write(json.dumps(answer) + "\n")
    os._exit(0)


if __name__ == "__main__":
    main()
