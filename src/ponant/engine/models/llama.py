"""Llama (https://arxiv.org/abs/2407.21783) and the families of its shape.

Mistral (arXiv 2310.06825) adds sliding windows, Ministral 3 a temperature on queries, Mixtral
(arXiv 2401.04088) experts, Qwen 2 (arXiv 2407.10671) biases, Qwen 3 (arXiv 2505.09388) norms on
queries and keys.
"""

from collections.abc import Sequence
from typing import Final

from ponant.engine.models.blocks import Mixture, Sizes, Traits, build
from ponant.engine.models.names import MIXTRAL
from ponant.engine.models.rope import query_temperature, read_rope
from ponant.engine.models.source import Source
from ponant.engine.models.spec import DecoderSpec
from ponant.engine.weights.checkpoint import Checkpoint

_DEFAULTS: Final = {"epsilon": 1e-6}  # what transformers takes where a configuration is silent
_MISTRAL_CONTEXT: Final = 128_000  # where params.json is silent; vLLM takes the same
_OTHER_MISTRALS: Final = ("qk_nope_head_dim", "moe.num_shared_experts")


def read_llama(checkpoint: Checkpoint, architecture: str) -> DecoderSpec:
    """Llama and Mistral as data, Mixtral too where a file calls it llama, as GGUF does.

    Raises:
        ModelFileError: a setting or tensor is missing or cannot be.
    """
    return _read(Source(checkpoint, architecture, defaults=_DEFAULTS))


def read_mixtral(checkpoint: Checkpoint, architecture: str) -> DecoderSpec:
    """Mixtral as data; see `read_llama`."""
    return _read(Source(checkpoint, architecture, MIXTRAL, {"epsilon": 1e-5}))


def read_qwen2(checkpoint: Checkpoint, architecture: str) -> DecoderSpec:
    """Qwen 2 and 2.5 as data; see `read_llama`."""
    source = Source(checkpoint, architecture, defaults=_DEFAULTS)
    source.check_activation("silu")
    sizes = Sizes.read(source)
    traits = Traits(
        inner=source.count("inner"),
        ropes=(read_rope(source, sizes.head_size),),
        windows=_qwen_windows(source, sizes.layers),
        projection_bias=True,
    )
    return build(source, sizes, traits)


def read_qwen3(checkpoint: Checkpoint, architecture: str) -> DecoderSpec:
    """Qwen 3, dense or with experts, as data; see `read_llama`."""
    source = Source(checkpoint, architecture, defaults={**_DEFAULTS, "head_size": 128})
    source.check_activation("silu")
    sizes = Sizes.read(source)
    bias = source.flag("attention_bias")
    traits = Traits(
        inner=source.count("inner", 1),
        ropes=(read_rope(source, sizes.head_size),),
        windows=_qwen_windows(source, sizes.layers),
        projection_bias=bias,
        output_bias=bias,
        head_norms=True,
        mixtures=_qwen_mixtures(source, sizes.layers),
    )
    return build(source, sizes, traits)


def _read(source: Source) -> DecoderSpec:
    for name in _OTHER_MISTRALS:
        if source.layout == "mistral" and source.setting(name):
            raise source.refuse(f"has {name}")
    source.check_activation("silu")
    sizes = Sizes.read(source, _MISTRAL_CONTEXT if source.layout == "mistral" else None)
    bias = source.flag("attention_bias")
    mixture = _mixture(source, "inner") if source.setting("experts") else None
    traits = Traits(
        inner=source.count("inner"),
        ropes=(read_rope(source, sizes.head_size),),
        windows=_windows(source, sizes.layers),
        projection_bias=bias,
        output_bias=bias,
        feed_forward_bias=source.flag("mlp_bias"),
        temperature=query_temperature(source),
        mixtures=[mixture] * sizes.layers,
    )
    return build(source, sizes, traits)


def _mixture(source: Source, inner: str) -> Mixture:
    experts, chosen = source.count("experts"), source.count("chosen")
    if chosen > experts:
        raise source.refuse(f"asks {chosen} of {experts} experts")
    return Mixture(experts, chosen, source.count(inner))


def _windows(source: Source, layers: int) -> Sequence[int | None]:
    """Window of each layer: one for all, by kinds of layers, or a pattern that repeats."""
    listed = source.setting("window") or source.setting("_sliding_window")
    if isinstance(listed, list):
        pattern = [window and source.whole("window", window) for window in listed]
        return [pattern[layer % len(pattern)] for layer in range(layers)]
    if not listed:
        return [None] * layers
    window = source.whole("window", listed)
    return [window if local else None for local in _local_layers(source, layers)]


def _qwen_windows(source: Source, layers: int) -> Sequence[int | None]:
    """Qwen's files name a window that most of them do not use."""
    if not source.flag("use_sliding_window"):
        return [None] * layers
    window = source.count("window")
    if source.setting("layer_types"):
        return [window if local else None for local in _local_layers(source, layers)]
    first = source.setting("max_window_layers", 0)
    return [window if layer >= first else None for layer in range(layers)]


def _local_layers(source: Source, layers: int) -> Sequence[bool]:
    kinds = source.setting("layer_types")
    if not isinstance(kinds, list) or len(kinds) < layers:
        return [True] * layers
    return [kind == "sliding_attention" for kind in kinds[:layers]]


def _qwen_mixtures(source: Source, layers: int) -> Sequence[Mixture | None]:
    experts = source.setting("num_experts") or source.setting("experts")
    if not experts:
        return [None] * layers
    if source.layout == "huggingface" and not source.flag("norm_topk_prob"):
        raise source.refuse("weighs its experts without norm_topk_prob")
    mixture = _mixture(source, "expert_inner")
    step = source.count("decoder_sparse_step", 1)
    plain = source.setting("mlp_only_layers") or []
    return [None if layer in plain or (layer + 1) % step else mixture for layer in range(layers)]
