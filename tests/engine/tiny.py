"""A Gemma 3 of a few kilobytes with random weights, written as GGUF."""

from pathlib import Path
from typing import Final

import gguf
import numpy as np

VOCABULARY: Final = 320
WINDOW: Final = 40
LAYERS: Final = 7
WIDTH: Final = 64
INNER: Final = 96
HEADS: Final = 4
KEY_VALUE_HEADS: Final = 2
HEAD_SIZE: Final = 32


def write_tiny(path: Path, architecture: str = "gemma3", rope_scale: float = 8.0) -> Path:
    """Write the model; five layers attend within a window, one to everything, as in the family."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(1024)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_key_length(HEAD_SIZE)
    writer.add_value_length(HEAD_SIZE)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_sliding_window(WINDOW)
    writer.add_rope_freq_base(1e6)
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(rope_scale)
    random = np.random.default_rng(7)
    for name, shape in _shapes().items():
        values = random.normal(0, 0.2, shape) + (1 if len(shape) == 1 else 0)
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes() -> dict[str, tuple[int, ...]]:
    queries, keys = HEADS * HEAD_SIZE, KEY_VALUE_HEADS * HEAD_SIZE
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (VOCABULARY, WIDTH),
        "output_norm.weight": (WIDTH,),
    }
    block: dict[str, tuple[int, ...]] = {
        "attn_norm": (WIDTH,),
        "attn_q": (queries, WIDTH),
        "attn_k": (keys, WIDTH),
        "attn_v": (keys, WIDTH),
        "attn_q_norm": (HEAD_SIZE,),
        "attn_k_norm": (HEAD_SIZE,),
        "attn_output": (WIDTH, queries),
        "post_attention_norm": (WIDTH,),
        "ffn_norm": (WIDTH,),
        "ffn_gate": (INNER, WIDTH),
        "ffn_up": (INNER, WIDTH),
        "ffn_down": (WIDTH, INNER),
        "post_ffw_norm": (WIDTH,),
    }
    for layer in range(LAYERS):
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in block.items()}
    return shapes
