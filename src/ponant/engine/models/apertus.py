"""Apertus (https://arxiv.org/abs/2509.14233): Llama with norms on queries and keys, and a
feed-forward without a gate whose activation, xIELU (arXiv 2411.13010), is learnt by each layer."""

import math
from typing import Final

import numpy as np

from ponant.engine.errors import ModelFileError
from ponant.engine.models.blocks import Sizes, Traits, build
from ponant.engine.models.names import APERTUS
from ponant.engine.models.rope import read_rope
from ponant.engine.models.source import Source
from ponant.engine.models.spec import DecoderSpec
from ponant.engine.weights.checkpoint import Checkpoint

_NAMES: Final = ("alpha_p", "alpha_n", "beta", "eps")
_THETA: Final = 12e6


def read(checkpoint: Checkpoint, architecture: str) -> DecoderSpec:
    """The model as data.

    Raises:
        ModelFileError: a setting or tensor is missing or cannot be.
    """
    source = Source(checkpoint, architecture, APERTUS, {"epsilon": 1e-5})
    source.check_activation("xielu")
    sizes = Sizes.read(source)
    bias = source.flag("attention_bias")
    traits = Traits(
        inner=source.count("inner"),
        ropes=(read_rope(source, sizes.head_size, theta=_THETA),),
        windows=[None] * sizes.layers,
        projection_bias=bias,
        output_bias=bias,
        head_norms=True,
        gated=False,
        activation="xielu",
        xielu=[_xielu(source, layer) for layer in range(sizes.layers)],
    )
    return build(source, sizes, traits)


def _xielu(source: Source, layer: int) -> tuple[float, float, float, float]:
    """alpha_p, alpha_n, beta and eps of a layer; checkpoints hold the alphas before softplus."""
    if source.layout == "gguf":
        alpha_p, alpha_n, beta, epsilon = (_listed(source, name, layer) for name in _NAMES)
    else:
        alpha_p, alpha_n, beta, epsilon = (
            source.checkpoint.single(source.name(name, layer=layer)) for name in _NAMES
        )
    return _softplus(alpha_p), beta + _softplus(alpha_n), beta, epsilon


def _listed(source: Source, name: str, layer: int) -> float:
    """A constant from GGUF's metadata, one for all layers or one for each."""
    value = source.checkpoint.settings.get(f"xielu.{name}")
    if isinstance(value, np.ndarray) and layer < len(value):
        value = value[layer].item()
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ModelFileError(
            f"{source.checkpoint.path} says that xielu.{name} is {value}: fetch the model again."
        )
    return float(value)


def _softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))
