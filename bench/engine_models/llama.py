"""Llamas of public configurations with random weights, as GGUF and as Hugging Face folders.

They serve to measure speed and memory: what they say means nothing. The vocabulary is the
starter's, cut or repeated to size, so that every engine accepts it.
"""

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

from bench.engine_models.blocks import Kind, random_blocks
from ponant.engine.weights import GgufFile


@dataclass(frozen=True)
class Configuration:
    """What a Llama's ``config.json`` says. ``rope_factor`` 0 means no llama3 scaling."""

    width: int
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    inner: int
    vocabulary: int
    context: int
    rope_theta: float
    tied: bool
    rope_factor: float = 0.0


CONFIGURATIONS: Final = {
    # meta-llama/Llama-3.2-1B
    "llama-1b": Configuration(
        width=2048,
        layers=16,
        heads=32,
        key_value_heads=8,
        head_size=64,
        inner=8192,
        vocabulary=128256,
        context=131072,
        rope_theta=5e5,
        tied=True,
        rope_factor=32.0,
    ),
    # mistralai/Mistral-7B-v0.3
    "mistral-7b": Configuration(
        width=4096,
        layers=32,
        heads=32,
        key_value_heads=8,
        head_size=128,
        inner=14336,
        vocabulary=32768,
        context=32768,
        rope_theta=1e6,
        tied=False,
    ),
    # mistralai/Mistral-Small-24B-Base-2501
    "mistral-24b": Configuration(
        width=5120,
        layers=40,
        heads=32,
        key_value_heads=8,
        head_size=128,
        inner=32768,
        vocabulary=131072,
        context=32768,
        rope_theta=1e8,
        tied=False,
    ),
}
_ORIGINAL_CONTEXT: Final = 8192
_LOW, _HIGH = 1.0, 4.0  # llama3 scaling's low and high frequency factors
_NAMES: Final = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTER: Final = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}


def write_gguf(name: str, form: str, vocabulary: Path, path: Path) -> None:
    """Write a model; ``form`` is ``q8_0``, or ``q4_k_m`` for llama.cpp's mixture of that name."""
    shape = CONFIGURATIONS[name]
    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "llama", use_temp_file=False)
    _describe(writer, name, shape)
    _add_vocabulary(writer, GgufFile(vocabulary), shape.vocabulary)
    random = np.random.default_rng(3)
    for tensor, rows, columns in _matrices(shape):
        kind = _kind(tensor, shape.layers, form)
        blocks = random_blocks(random, kind, rows, columns)
        writer.add_tensor(f"{tensor}.weight", blocks, raw_dtype=kind)
    for tensor in _norms(shape):
        writer.add_tensor(f"{tensor}.weight", np.ones(shape.width, np.float32))
    if shape.rope_factor:
        writer.add_tensor("rope_freqs.weight", _rope_factors(shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.rename(path)


def write_folder(name: str, path: Path, folder: Path) -> None:
    """Write the GGUF's weights, dequantised to bfloat16, as a Hugging Face folder."""
    shape, file = CONFIGURATIONS[name], GgufFile(path)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        _hugging_face_name(tensor): _expand(file, tensor, shape)
        for tensor in file.tensors
        if not tensor.startswith("rope_freqs")
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(_config(shape), indent=2))


def _describe(writer: gguf.GGUFWriter, name: str, shape: Configuration) -> None:
    writer.add_name(name)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.key_value_heads)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_vocab_size(shape.vocabulary)


def _add_vocabulary(writer: gguf.GGUFWriter, source: GgufFile, size: int) -> None:
    tokens, scores, kinds = (
        source.metadata[f"tokenizer.ggml.{name}"][:size]
        for name in ("tokens", "scores", "token_type")
    )
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(tokens))
    writer.add_token_scores([float(score) for score in scores])
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(value=True)


def _matrices(shape: Configuration) -> Iterator[tuple[str, int, int]]:
    queries = shape.heads * shape.head_size
    keys = shape.key_value_heads * shape.head_size
    yield "token_embd", shape.vocabulary, shape.width
    if not shape.tied:
        yield "output", shape.vocabulary, shape.width
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        yield f"{block}.attn_q", queries, shape.width
        yield f"{block}.attn_k", keys, shape.width
        yield f"{block}.attn_v", keys, shape.width
        yield f"{block}.attn_output", shape.width, queries
        yield f"{block}.ffn_gate", shape.inner, shape.width
        yield f"{block}.ffn_up", shape.inner, shape.width
        yield f"{block}.ffn_down", shape.width, shape.inner


def _norms(shape: Configuration) -> Iterator[str]:
    yield "output_norm"
    for layer in range(shape.layers):
        yield f"blk.{layer}.attn_norm"
        yield f"blk.{layer}.ffn_norm"


def _kind(tensor: str, layers: int, form: str) -> Kind:
    """The format that llama.cpp's quantiser gives a matrix."""
    if form == "q8_0":
        return Kind.Q8_0
    if tensor == "output" or (tensor == "token_embd" and form == "q4_k_m"):
        return Kind.Q6_K
    if not tensor.endswith(("attn_v", "ffn_down")):
        return Kind.Q4_K
    layer = int(tensor.split(".")[1])
    outer = layer < layers // 8 or layer >= 7 * layers // 8
    return Kind.Q6_K if outer or (layer - layers // 8) % 3 == 2 else Kind.Q4_K


def _rope_factors(shape: Configuration) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What each frequency is divided by (llama3 scaling)."""
    half = np.arange(0, shape.head_size, 2) / shape.head_size
    wavelength = 2 * math.pi * shape.rope_theta**half
    smooth = (_ORIGINAL_CONTEXT / wavelength - _LOW) / (_HIGH - _LOW)
    smooth = np.clip(smooth, 0, 1)
    return (1 / ((1 - smooth) / shape.rope_factor + smooth)).astype(np.float32)


def _hugging_face_name(tensor: str) -> str:
    parts = tensor.removesuffix(".weight").split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{_NAMES[parts[2]]}.weight"
    return f"{_OUTER[parts[0]]}.weight"


def _expand(file: GgufFile, tensor: str, shape: Configuration) -> torch.Tensor:
    info = file.tensors[tensor]
    raw = file.raw(tensor).reshape(info.shape[0], -1)
    values = torch.from_numpy(gguf.dequantize(np.array(raw), getattr(Kind, info.format.name)))
    values = values.view(info.shape).to(torch.bfloat16)
    if tensor.endswith(("attn_q.weight", "attn_k.weight")):
        return _halves(values, shape.head_size)
    return values


def _halves(values: torch.Tensor, head_size: int) -> torch.Tensor:
    """Undo the order of rotary pairs, which GGUF interleaves and Hugging Face keeps as halves."""
    heads = values.shape[0] // head_size
    pairs = values.view(heads, head_size // 2, 2, values.shape[1])
    return pairs.transpose(1, 2).reshape(values.shape).contiguous()


def _config(shape: Configuration) -> dict[str, Any]:
    config: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_value_heads,
        "head_dim": shape.head_size,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": 1e-5,
        "rope_theta": shape.rope_theta,
        "tie_word_embeddings": shape.tied,
        "hidden_act": "silu",
        "dtype": "bfloat16",
        "bos_token_id": 2,
        "eos_token_id": 1,
    }
    if shape.rope_factor:
        config["rope_scaling"] = {
            "rope_type": "llama3",
            "factor": shape.rope_factor,
            "low_freq_factor": _LOW,
            "high_freq_factor": _HIGH,
            "original_max_position_embeddings": _ORIGINAL_CONTEXT,
        }
    return config


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["gguf", name, form, vocabulary, path]:
            write_gguf(name, form, Path(vocabulary), Path(path))
        case ["folder", name, path, folder]:
            write_folder(name, Path(path), Path(folder))
        case _:
            raise SystemExit(__doc__)
