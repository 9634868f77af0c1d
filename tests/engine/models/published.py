"""Published configurations of the models that parity is tested on.

Each is what `config.json` of the repository named beside it says of the text model, in today's
words (``rope_parameters``). `reduced` makes sizes and layer counts small, contexts and windows
included, and leaves everything else.
"""

from dataclasses import dataclass, field
from typing import Any

INITIALIZER_RANGE = 0.2
VOCABULARY = 323


@dataclass(frozen=True)
class Published:
    """A model's configuration.

    Attributes:
        source: the repository whose config.json it is.
        config: every value that bears on the computation.
        small: sizes to test with; ratios between heads are kept, and so is whether heads fill the
            width.
        gguf: llama.cpp's name of the architecture, or None where its files cannot hold it.
        consolidated: whether Mistral publishes it in its own layout too.
    """

    source: str
    config: dict[str, Any]
    small: dict[str, Any] = field(default_factory=dict)
    gguf: str | None = "llama"
    consolidated: bool = False

    def reduced(self) -> dict[str, Any]:
        """The configuration of a small model of this kind."""
        small = {"vocab_size": VOCABULARY, "initializer_range": INITIALIZER_RANGE, **self.small}
        rope = {**self.config["rope_parameters"], **small.pop("rope_parameters", {})}
        return {**self.config, **small, "rope_parameters": rope}


def _small(
    heads: int, key_value_heads: int, width: int, layers: int = 2, head_size: int = 16
) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": 3 * width // 2,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
        "head_dim": head_size,
        "max_position_embeddings": 256,
    }


MISTRAL_7B = Published(
    source="mistralai/Mistral-7B-v0.3",
    config={
        "model_type": "mistral",
        "hidden_act": "silu",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "max_position_embeddings": 32768,
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "rms_norm_eps": 1e-05,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
        "sliding_window": None,
        "tie_word_embeddings": False,
        "vocab_size": 32768,
    },
    small=_small(8, 2, 64, head_size=8),
    consolidated=True,
)
MIXTRAL = Published(
    source="mistralai/Mixtral-8x7B-v0.1",
    config={
        "model_type": "mixtral",
        "hidden_act": "silu",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "max_position_embeddings": 32768,
        "num_attention_heads": 32,
        "num_experts_per_tok": 2,
        "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "rms_norm_eps": 1e-05,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
        "sliding_window": None,
        "tie_word_embeddings": False,
        "vocab_size": 32000,
    },
    small=_small(8, 2, 64, head_size=8),
    consolidated=True,
)
MINISTRAL_8B = Published(
    # Of each four layers the first sees everything, as its card and params.json say;
    # transformers' "ministral" was made for it.
    source="mistralai/Ministral-8B-Instruct-2410",
    config={
        "model_type": "ministral",
        "hidden_act": "silu",
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "max_position_embeddings": 131072,
        "num_attention_heads": 32,
        "num_hidden_layers": 36,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "rms_norm_eps": 1e-05,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100000000.0},
        "sliding_window": 32768,
        "layer_types": (["full_attention"] + 3 * ["sliding_attention"]) * 9,
        "tie_word_embeddings": False,
        "vocab_size": 131072,
    },
    small=_small(8, 2, 64, head_size=8, layers=4)
    | {
        "sliding_window": 33,
        "layer_types": ["full_attention"] + 3 * ["sliding_attention"],
    },
    gguf=None,  # no place for windows that differ
    consolidated=True,
)
MINISTRAL_3_3B = Published(
    source="mistralai/Ministral-3-3B-Base-2512",
    config={
        "model_type": "ministral3",
        "hidden_act": "silu",
        "hidden_size": 3072,
        "intermediate_size": 9216,
        "max_position_embeddings": 262144,
        "num_attention_heads": 32,
        "num_hidden_layers": 26,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "rms_norm_eps": 1e-05,
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 1000000.0,
            "factor": 16.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "llama_4_scaling_beta": 0.1,
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
            "original_max_position_embeddings": 16384,
        },
        "sliding_window": None,
        "tie_word_embeddings": True,
        "vocab_size": 131072,
    },
    # 128 values a head are rotated by 64 wavelengths, some of which YaRN blends; with 16 values
    # and a context of 48, a few still are.
    small=_small(8, 2, 96) | {"rope_parameters": {"original_max_position_embeddings": 48}},
    gguf="mistral3",
    consolidated=True,
)
MISTRAL_SMALL = Published(
    source="mistralai/Mistral-Small-3.2-24B-Instruct-2506 (text_config)",
    config={
        "model_type": "mistral",
        "hidden_act": "silu",
        "hidden_size": 5120,
        "intermediate_size": 32768,
        "max_position_embeddings": 131072,
        "num_attention_heads": 32,
        "num_hidden_layers": 40,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "rms_norm_eps": 1e-05,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000000.0},
        "sliding_window": None,
        "tie_word_embeddings": False,
        "vocab_size": 131072,
    },
    small=_small(8, 2, 160),
    consolidated=True,
)
LLAMA_1B = Published(
    source="meta-llama/Llama-3.2-1B",
    config={
        "model_type": "llama",
        "attention_bias": False,
        "hidden_act": "silu",
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "max_position_embeddings": 131072,
        "mlp_bias": False,
        "num_attention_heads": 32,
        "num_hidden_layers": 16,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "rms_norm_eps": 1e-05,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 32.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192,
        },
        "tie_word_embeddings": True,
        "vocab_size": 128256,
    },
    small=_small(8, 2, 128) | {"rope_parameters": {"original_max_position_embeddings": 48}},
)
QWEN_25 = Published(
    source="Qwen/Qwen2.5-7B-Instruct",
    config={
        "model_type": "qwen2",
        "hidden_act": "silu",
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "max_position_embeddings": 32768,
        "max_window_layers": 28,
        "num_attention_heads": 28,
        "num_hidden_layers": 28,
        "num_key_value_heads": 4,
        "rms_norm_eps": 1e-06,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
        "sliding_window": 131072,
        "tie_word_embeddings": False,
        "use_sliding_window": False,
        "vocab_size": 152064,
    },
    small={**_small(7, 1, 56, head_size=8), "sliding_window": 33, "max_window_layers": 1},
    gguf="qwen2",
)
QWEN_3 = Published(
    source="Qwen/Qwen3-8B",
    config={
        "model_type": "qwen3",
        "attention_bias": False,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "max_position_embeddings": 40960,
        "max_window_layers": 36,
        "num_attention_heads": 32,
        "num_hidden_layers": 36,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-06,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000},
        "sliding_window": None,
        "tie_word_embeddings": False,
        "use_sliding_window": False,
        "vocab_size": 151936,
    },
    small=_small(8, 2, 128),
    gguf="qwen3",
)
GEMMA_3_1B = Published(
    source="google/gemma-3-1b-it",
    config={
        "model_type": "gemma3_text",
        "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": 1152,
        "intermediate_size": 6912,
        "max_position_embeddings": 32768,
        "num_attention_heads": 4,
        "num_hidden_layers": 26,
        "num_key_value_heads": 1,
        "query_pre_attn_scalar": 256,
        "rms_norm_eps": 1e-06,
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 1000000},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000},
        },
        "sliding_window": 512,
        "sliding_window_pattern": 6,
        "tie_word_embeddings": True,
        "vocab_size": 262144,
    },
    small={**_small(4, 1, 72, layers=7), "head_dim": 32, "sliding_window": 33}
    | {"query_pre_attn_scalar": 32},
    gguf="gemma3",
)
APERTUS_8B = Published(
    source="swiss-ai/Apertus-8B-Instruct-2509",
    config={
        "model_type": "apertus",
        "attention_bias": False,
        "hidden_act": "xielu",
        "hidden_size": 4096,
        "intermediate_size": 21504,
        "max_position_embeddings": 65536,
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-05,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 12000000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
        "tie_word_embeddings": False,
        "vocab_size": 131072,
    },
    small=_small(8, 2, 128) | {"rope_parameters": {"original_max_position_embeddings": 48}},
    gguf="apertus",
)
QWEN_3_MOE = Published(
    source="Qwen/Qwen3-30B-A3B",
    config={
        "model_type": "qwen3_moe",
        "attention_bias": False,
        "decoder_sparse_step": 1,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "max_position_embeddings": 40960,
        "mlp_only_layers": [],
        "moe_intermediate_size": 768,
        "norm_topk_prob": True,
        "num_attention_heads": 32,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "num_hidden_layers": 48,
        "num_key_value_heads": 4,
        "rms_norm_eps": 1e-06,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
        "sliding_window": None,
        "tie_word_embeddings": False,
        "use_sliding_window": False,
        "vocab_size": 151936,
    },
    small=_small(8, 1, 96)
    | {"moe_intermediate_size": 64, "num_experts": 12, "num_experts_per_tok": 4},
    gguf="qwen3moe",
)

MODELS = {
    "mistral-7b-v0.3": MISTRAL_7B,
    "mixtral-8x7b": MIXTRAL,
    "ministral-8b": MINISTRAL_8B,
    "ministral-3-3b": MINISTRAL_3_3B,
    "mistral-small-3.2": MISTRAL_SMALL,
    "llama-3.2-1b": LLAMA_1B,
    "qwen-2.5": QWEN_25,
    "qwen-3": QWEN_3,
    "gemma-3-1b": GEMMA_3_1B,
    "apertus-8b": APERTUS_8B,
    "qwen-3-moe": QWEN_3_MOE,
}
