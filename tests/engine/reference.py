"""An independent Gemma 3: transformers' code on weights that the `gguf` package expands.

transformers' own GGUF reader is no reference: for this family it gets weights wrong.
"""

from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from ponant.engine.weights import GgufFile

_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_OUTER = {"output_norm": "model.norm", "token_embd": "model.embed_tokens"}


def reference(path: Path) -> Gemma3ForCausalLM:
    """The model in float32, ready to run."""
    file = GgufFile(path)
    model = Gemma3ForCausalLM(_config(file)).eval()
    weights = {_rename(name): _expand(file, name) for name in file.tensors}
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.load_state_dict(weights, strict=True)
    return model


def _config(file: GgufFile) -> Gemma3TextConfig:
    def read(name: str) -> int:
        return file.metadata[f"gemma3.{name}"]

    whole = {"rope_type": "default", "rope_theta": 1e6}
    scale = file.metadata.get("gemma3.rope.scaling.factor")
    if scale is not None:
        whole |= {"rope_type": "linear", "factor": scale}
    return Gemma3TextConfig(
        vocab_size=file.tensors["token_embd.weight"].shape[0],
        hidden_size=read("embedding_length"),
        intermediate_size=read("feed_forward_length"),
        num_hidden_layers=read("block_count"),
        num_attention_heads=read("attention.head_count"),
        num_key_value_heads=read("attention.head_count_kv"),
        head_dim=read("attention.key_length"),
        query_pre_attn_scalar=read("attention.key_length"),
        max_position_embeddings=read("context_length"),
        rms_norm_eps=read("attention.layer_norm_rms_epsilon"),
        sliding_window=read("attention.sliding_window"),
        rope_parameters={
            "full_attention": whole,
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
        attn_implementation="eager",
    )


def _rename(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{_NAMES[parts[2]]}.weight"
    return f"{_OUTER[parts[0]]}.weight"


def _expand(file: GgufFile, name: str) -> torch.Tensor:
    info = file.tensors[name]
    raw = file.raw(name).reshape(info.shape[0], -1)
    kind = gguf.GGMLQuantizationType[info.format.name]
    values = torch.from_numpy(np.array(gguf.dequantize(raw, kind), np.float32)).view(info.shape)
    return values - 1 if "norm" in name else values  # transformers adds the one itself
