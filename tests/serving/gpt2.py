"""A tiny GPT-2 with random weights, whose architecture the native engine does not know."""

from pathlib import Path
from typing import Final

import gguf
import numpy as np

_WIDTH: Final = 64
_LAYERS: Final = 2
_HEADS: Final = 2
_CONTEXT: Final = 256
_END: Final = "<|endoftext|>"


def write_gpt2(path: Path) -> Path:
    """Write the model; its vocabulary are the bytes, one pair of them, and an end."""
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_feed_forward_length(4 * _WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_head_count(_HEADS)
    writer.add_layer_norm_eps(1e-5)
    words = [*_bytes(), "th", _END]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    kinds = [gguf.TokenType.NORMAL] * (len(words) - 1) + [gguf.TokenType.CONTROL]
    writer.add_token_types(kinds)
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(len(words) - 1)
    writer.add_eos_token_id(len(words) - 1)
    random = np.random.default_rng(5)
    for name, shape in _shapes(len(words)).items():
        middle = 1 if "norm.weight" in name else 0
        writer.add_tensor(name, random.normal(middle, 0.2, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _bytes() -> list[str]:
    """A character for every byte, as GPT-2 writes them."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def _shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocabulary, _WIDTH),
        "position_embd.weight": (_CONTEXT, _WIDTH),
        "output_norm.weight": (_WIDTH,),
        "output_norm.bias": (_WIDTH,),
    }
    block: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (_WIDTH,),
        "attn_norm.bias": (_WIDTH,),
        "attn_qkv.weight": (3 * _WIDTH, _WIDTH),
        "attn_qkv.bias": (3 * _WIDTH,),
        "attn_output.weight": (_WIDTH, _WIDTH),
        "attn_output.bias": (_WIDTH,),
        "ffn_norm.weight": (_WIDTH,),
        "ffn_norm.bias": (_WIDTH,),
        "ffn_up.weight": (4 * _WIDTH, _WIDTH),
        "ffn_up.bias": (4 * _WIDTH,),
        "ffn_down.weight": (_WIDTH, 4 * _WIDTH),
        "ffn_down.bias": (_WIDTH,),
    }
    for layer in range(_LAYERS):
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    return shapes
