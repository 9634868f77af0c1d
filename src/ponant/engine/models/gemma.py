"""Gemma 3 (https://arxiv.org/abs/2503.19786), its text part.

Five layers attend within a window for each that attends to everything, at another wavelength;
queries and keys are normalised, and so is each part's result before it joins the residual stream.
"""

import math
from typing import Any, Final

from ponant.engine.models.blocks import Sizes, Traits, build
from ponant.engine.models.names import GEMMA3
from ponant.engine.models.rope import make_rope, rope_parameters
from ponant.engine.models.source import Source
from ponant.engine.models.spec import DecoderSpec, Rope
from ponant.engine.weights.checkpoint import Checkpoint

_PATTERN: Final = 6
_THETA: Final = 1e6
_LOCAL_THETA: Final = 1e4
_LAYERS_OF_27B: Final = 62
_DEFAULTS: Final = {  # what transformers takes where a configuration is silent
    "heads": 8,
    "key_value_heads": 4,
    "head_size": 256,
    "context_length": 131_072,
    "epsilon": 1e-6,
    "window": 4096,
}


def read(checkpoint: Checkpoint, architecture: str) -> DecoderSpec:
    """The model as data.

    Raises:
        ModelFileError: a setting or tensor is missing or cannot be.
    """
    source = Source(checkpoint, architecture, GEMMA3, _DEFAULTS)
    source.check_activation("gelu_pytorch_tanh")
    sizes = Sizes.read(source)
    whole = _whole_layers(source, sizes.layers)
    window = source.count("window")
    hugging_face = source.layout == "huggingface"
    for cap in ("final_logit_softcapping", "attn_logit_softcapping"):
        if hugging_face and source.setting(cap):
            raise source.refuse("caps its scores")
    traits = Traits(
        inner=source.count("inner"),
        ropes=_ropes(source, sizes),
        windows=[None if is_whole else window for is_whole in whole],
        layer_ropes=[0 if is_whole else 1 for is_whole in whole],
        query_scale=_query_scale(source, sizes),
        head_norms=True,
        post_norms=True,
        norm_offset=1.0 if hugging_face else 0.0,  # llama.cpp's converter adds it
        activation="gelu",
        embedding_scale=math.sqrt(sizes.width),
    )
    return build(source, sizes, traits)


def _whole_layers(source: Source, layers: int) -> list[bool]:
    """Which layers attend to everything."""
    kinds: Any = source.setting("layer_types")
    if isinstance(kinds, list) and len(kinds) >= layers:
        return [kind == "full_attention" for kind in kinds[:layers]]
    gguf = source.layout == "gguf"
    name = "attention.sliding_window_pattern" if gguf else "sliding_window_pattern"
    pattern = source.count(name, _PATTERN)
    return [(layer + 1) % pattern == 0 for layer in range(layers)]


def _ropes(source: Source, sizes: Sizes) -> tuple[Rope, Rope]:
    whole = rope_parameters(source, "full_attention")
    if source.layout == "gguf":
        local = {"rope_theta": source.setting("rope.freq_base_swa")}
    else:
        nested = (source.setting("rope_parameters") or {}).get("sliding_attention") or {}
        local = {"rope_theta": source.setting("rope_local_base_freq"), **nested}
    return (
        make_rope(source, whole, sizes.head_size, theta=_THETA),
        make_rope(source, local, sizes.head_size, theta=_LOCAL_THETA),
    )


def _query_scale(source: Source, sizes: Sizes) -> float:
    """The 27B model has its own, which GGUF does not tell."""
    if source.layout == "huggingface":
        return 1 / math.sqrt(source.number("query_pre_attn_scalar", 256))
    if sizes.layers == _LAYERS_OF_27B:
        return 1 / math.sqrt(sizes.width / sizes.heads)
    return sizes.query_scale
