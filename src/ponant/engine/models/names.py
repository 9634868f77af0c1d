"""How each layout calls the settings and tensors that families ask for."""

from collections.abc import Mapping
from typing import Final

from ponant.engine.weights.checkpoint import Layout

SETTINGS: Final[Mapping[Layout, Mapping[str, str]]] = {
    "gguf": {
        "width": "embedding_length",
        "inner": "feed_forward_length",
        "layers": "block_count",
        "heads": "attention.head_count",
        "key_value_heads": "attention.head_count_kv",
        "head_size": "attention.key_length",
        "context_length": "context_length",
        "epsilon": "attention.layer_norm_rms_epsilon",
        "theta": "rope.freq_base",
        "window": "attention.sliding_window",
        "experts": "expert_count",
        "chosen": "expert_used_count",
        "expert_inner": "expert_feed_forward_length",
    },
    "huggingface": {
        "width": "hidden_size",
        "inner": "intermediate_size",
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "key_value_heads": "num_key_value_heads",
        "head_size": "head_dim",
        "context_length": "max_position_embeddings",
        "epsilon": "rms_norm_eps",
        "theta": "rope_theta",
        "window": "sliding_window",
        "experts": "num_local_experts",
        "chosen": "num_experts_per_tok",
        "expert_inner": "moe_intermediate_size",
    },
    "mistral": {
        "width": "dim",
        "inner": "hidden_dim",
        "layers": "n_layers",
        "heads": "n_heads",
        "key_value_heads": "n_kv_heads",
        "head_size": "head_dim",
        "context_length": "max_position_embeddings",
        "epsilon": "norm_eps",
        "theta": "rope_theta",
        "window": "sliding_window",
        "experts": "moe.num_experts",
        "chosen": "moe.num_experts_per_tok",
    },
}
"""Keys of settings; a dot leads into a nested table, except in GGUF, where it is part of the key
and the architecture's name goes before it."""

TENSORS: Final[Mapping[Layout, Mapping[str, str]]] = {
    "gguf": {
        "embedding": "token_embd.weight",
        "norm": "output_norm.weight",
        "head": "output.weight",
        "attention_norm": "blk.{layer}.attn_norm.weight",
        "query": "blk.{layer}.attn_q",
        "key": "blk.{layer}.attn_k",
        "value": "blk.{layer}.attn_v",
        "output": "blk.{layer}.attn_output",
        "query_norm": "blk.{layer}.attn_q_norm.weight",
        "key_norm": "blk.{layer}.attn_k_norm.weight",
        "attention_post_norm": "blk.{layer}.post_attention_norm.weight",
        "feed_forward_norm": "blk.{layer}.ffn_norm.weight",
        "feed_forward_post_norm": "blk.{layer}.post_ffw_norm.weight",
        "gate": "blk.{layer}.ffn_gate",
        "up": "blk.{layer}.ffn_up",
        "down": "blk.{layer}.ffn_down",
        "router": "blk.{layer}.ffn_gate_inp",
        "expert_gate": "blk.{layer}.ffn_gate.{expert}",
        "expert_up": "blk.{layer}.ffn_up.{expert}",
        "expert_down": "blk.{layer}.ffn_down.{expert}",
        "stacked_gate": "blk.{layer}.ffn_gate_exps.weight",
        "stacked_up": "blk.{layer}.ffn_up_exps.weight",
        "stacked_down": "blk.{layer}.ffn_down_exps.weight",
        "rope_factors": "rope_freqs.weight",
    },
    "huggingface": {
        "embedding": "model.embed_tokens.weight",
        "norm": "model.norm.weight",
        "head": "lm_head.weight",
        "attention_norm": "model.layers.{layer}.input_layernorm.weight",
        "query": "model.layers.{layer}.self_attn.q_proj",
        "key": "model.layers.{layer}.self_attn.k_proj",
        "value": "model.layers.{layer}.self_attn.v_proj",
        "output": "model.layers.{layer}.self_attn.o_proj",
        "query_norm": "model.layers.{layer}.self_attn.q_norm.weight",
        "key_norm": "model.layers.{layer}.self_attn.k_norm.weight",
        "feed_forward_norm": "model.layers.{layer}.post_attention_layernorm.weight",
        "gate": "model.layers.{layer}.mlp.gate_proj",
        "up": "model.layers.{layer}.mlp.up_proj",
        "down": "model.layers.{layer}.mlp.down_proj",
        "router": "model.layers.{layer}.mlp.gate",
        "expert_gate": "model.layers.{layer}.mlp.experts.{expert}.gate_proj",
        "expert_up": "model.layers.{layer}.mlp.experts.{expert}.up_proj",
        "expert_down": "model.layers.{layer}.mlp.experts.{expert}.down_proj",
    },
    "mistral": {
        "embedding": "tok_embeddings.weight",
        "norm": "norm.weight",
        "head": "output.weight",
        "attention_norm": "layers.{layer}.attention_norm.weight",
        "query": "layers.{layer}.attention.wq",
        "key": "layers.{layer}.attention.wk",
        "value": "layers.{layer}.attention.wv",
        "output": "layers.{layer}.attention.wo",
        "feed_forward_norm": "layers.{layer}.ffn_norm.weight",
        "gate": "layers.{layer}.feed_forward.w1",
        "up": "layers.{layer}.feed_forward.w3",
        "down": "layers.{layer}.feed_forward.w2",
        "router": "layers.{layer}.feed_forward.gate",
        "expert_gate": "layers.{layer}.feed_forward.experts.{expert}.w1",
        "expert_up": "layers.{layer}.feed_forward.experts.{expert}.w3",
        "expert_down": "layers.{layer}.feed_forward.experts.{expert}.w2",
    },
}
"""Names of tensors; those of projections lack their ``.weight``, since a bias may stand beside."""

MIXTRAL: Final[Mapping[str, str]] = {
    "router": "model.layers.{layer}.block_sparse_moe.gate",
    "expert_gate": "model.layers.{layer}.block_sparse_moe.experts.{expert}.w1",
    "expert_up": "model.layers.{layer}.block_sparse_moe.experts.{expert}.w3",
    "expert_down": "model.layers.{layer}.block_sparse_moe.experts.{expert}.w2",
}
"""Where Mixtral's checkpoints in Hugging Face's layout differ."""

GEMMA3: Final[Mapping[str, str]] = {
    "attention_post_norm": "model.layers.{layer}.post_attention_layernorm.weight",
    "feed_forward_norm": "model.layers.{layer}.pre_feedforward_layernorm.weight",
    "feed_forward_post_norm": "model.layers.{layer}.post_feedforward_layernorm.weight",
}
"""Where Gemma 3's differ."""

APERTUS: Final[Mapping[str, str]] = {
    "attention_norm": "model.layers.{layer}.attention_layernorm.weight",
    "feed_forward_norm": "model.layers.{layer}.feedforward_layernorm.weight",
    "alpha_p": "model.layers.{layer}.mlp.act_fn.alpha_p",
    "alpha_n": "model.layers.{layer}.mlp.act_fn.alpha_n",
    "beta": "model.layers.{layer}.mlp.act_fn.beta",
    "eps": "model.layers.{layer}.mlp.act_fn.eps",
}
"""Where Apertus's differ."""
