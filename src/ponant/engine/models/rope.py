"""Rotary frequencies as checkpoints describe them: plain, linear, llama3 and YaRN.

Every layout is first put in the words of Hugging Face's ``rope_parameters``. Formulas: llama3 as
published with Llama 3.1, YaRN from https://arxiv.org/abs/2309.00071.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ponant.engine.models.source import Source
from ponant.engine.models.spec import Rope

Parameters = Mapping[str, Any]
_Exact = NDArray[np.float64]

_YARN_OF_GGUF: Final = {
    "factor": "rope.scaling.factor",
    "original_max_position_embeddings": "rope.scaling.original_context_length",
    "beta_fast": "rope.scaling.yarn_beta_fast",
    "beta_slow": "rope.scaling.yarn_beta_slow",
    "mscale_all_dim": "rope.scaling.yarn_log_multiplier",
}
_YARN_OF_MISTRAL: Final = {
    "factor": "yarn.factor",
    "original_max_position_embeddings": "yarn.original_max_position_embeddings",
    "beta_fast": "yarn.beta",
    "beta_slow": "yarn.alpha",
}


def rope_parameters(source: Source, kind: str = "full_attention") -> Parameters:
    """How a kind of layer is rotated, in Hugging Face's words.

    Args:
        source: the model.
        kind: of layer, where the checkpoint tells kinds apart.
    """
    match source.layout:
        case "gguf":
            return _of_gguf(source)
        case "mistral":
            return _of_mistral(source)
    found = source.setting("rope_parameters") or source.setting("rope_scaling") or {}
    found = found.get(kind, found)
    return {"rope_theta": source.setting("theta"), **found}


def read_rope(source: Source, head_size: int, *, theta: float = 1e4) -> Rope:
    """The rope of a model whose layers all rotate alike.

    Args:
        source: the model.
        head_size: values in a head.
        theta: wavelength base where the checkpoint has none.

    Raises:
        ModelFileError: the scaling is of an unknown kind, or its numbers cannot be.
    """
    return make_rope(source, rope_parameters(source), head_size, theta=theta)


def make_rope(source: Source, parameters: Parameters, head_size: int, *, theta: float) -> Rope:
    """The rope that parameters describe; see `read_rope`."""
    base = _number(source, parameters, "rope_theta", theta)
    rotated = int(head_size * _number(source, parameters, "partial_rotary_factor", 1.0))
    if rotated % 2 or not 0 < rotated <= head_size:
        raise source.refuse(f"rotates {rotated} of {head_size} values of a head")
    plain = base ** -(np.arange(0, rotated, 2) / rotated)
    kind = str(parameters.get("rope_type") or parameters.get("type") or "default")
    scale = _SCALINGS.get(kind)
    if scale is None:
        raise source.refuse(f"scales its rope in the way {kind}")
    frequencies, factor = scale(source, parameters, plain, base)
    if source.has("rope_factors"):
        frequencies = frequencies / source.vector("rope_factors", rotated // 2)
    return Rope(frequencies.astype(np.float32), factor, interleaved=_interleaved(source))


def query_temperature(source: Source) -> tuple[float, int] | None:
    """How queries grow with their position (Llama 4, Ministral 3); see `Attention.temperature`."""
    match source.layout:
        case "gguf":
            beta = source.setting("attention.temperature_scale")
            length = source.setting("attention.temperature_length") or source.setting(
                "rope.scaling.original_context_length"
            )
        case "mistral":
            scaling = source.setting("llama_4_scaling") or {}
            beta, length = scaling.get("beta"), scaling.get("original_max_position_embeddings")
        case _:
            parameters = rope_parameters(source)
            beta = parameters.get("llama_4_scaling_beta")
            length = parameters.get("original_max_position_embeddings")
    if not beta:
        return None
    values = {"beta": beta, "length": length}
    return _number(source, values, "beta"), int(_number(source, values, "length"))


def _interleaved(source: Source) -> bool:
    """Whether neighbours rotate together: so in Mistral's own files, and in GGUF, whose converter
    turns Llama's projections back; Hugging Face's layout keeps the two halves apart."""
    if source.layout == "mistral":
        return True
    return source.layout == "gguf" and source.architecture in {"llama", "mistral3"}


def _of_gguf(source: Source) -> Parameters:
    kind = source.setting("rope.scaling.type", "none")
    found = {name: source.setting(key) for name, key in _YARN_OF_GGUF.items()}
    if kind == "none" and source.setting("rope.scale_linear"):  # files before 2023-09
        kind, found["factor"] = "linear", source.setting("rope.scale_linear")
    if found["mscale_all_dim"]:
        found["mscale"] = 1.0
    return {"rope_type": kind, "rope_theta": source.setting("theta"), **found}


def _of_mistral(source: Source) -> Parameters:
    theta = source.setting("theta")
    if not source.setting("yarn"):
        return {"rope_type": "default", "rope_theta": theta}
    found = {name: source.setting(key) for name, key in _YARN_OF_MISTRAL.items()}
    if not source.setting("yarn.apply_scale", default=True):
        found["attention_factor"] = 1.0
    return {"rope_type": "yarn", "rope_theta": theta, **found}


def _plain(
    source: Source, parameters: Parameters, frequencies: _Exact, base: float
) -> tuple[_Exact, float]:
    del source, parameters, base
    return frequencies, 1.0


def _linear(
    source: Source, parameters: Parameters, frequencies: _Exact, base: float
) -> tuple[_Exact, float]:
    del base
    return frequencies / _number(source, parameters, "factor"), 1.0


def _llama3(
    source: Source, parameters: Parameters, frequencies: _Exact, base: float
) -> tuple[_Exact, float]:
    """Long waves are slowed, short ones kept, those between blended."""
    del base
    factor = _number(source, parameters, "factor")
    low = _number(source, parameters, "low_freq_factor")
    high = _number(source, parameters, "high_freq_factor")
    if high <= low:
        raise source.refuse(f"blends rotations between factors {low} and {high}")
    waves = _original(source, parameters) * frequencies / (2 * math.pi)  # in the first context
    kept = np.clip((waves - low) / (high - low), 0, 1)
    return frequencies * (kept + (1 - kept) / factor), 1.0


def _yarn(
    source: Source, parameters: Parameters, frequencies: _Exact, base: float
) -> tuple[_Exact, float]:
    """Pairs that turn often in the first context are kept, those that turn seldom slowed."""
    factor = _number(source, parameters, "factor")
    original = _original(source, parameters)
    size = 2 * len(frequencies)

    def pair(name: str, default: float) -> float:
        """Which pair turns this often in the first context."""
        turns = _number(source, parameters, name, default)
        return size * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))

    first, last = pair("beta_fast", 32), pair("beta_slow", 1)
    if parameters.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, size - 1)
    width = last - first or 0.001
    slowed = np.clip((np.arange(len(frequencies)) - first) / width, 0, 1)
    blended = frequencies * (1 - slowed + slowed / factor)
    return blended, _attention_factor(source, parameters, factor)


def _attention_factor(source: Source, parameters: Parameters, factor: float) -> float:
    if parameters.get("attention_factor"):
        return _number(source, parameters, "attention_factor")

    def grown(multiplier: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * multiplier * math.log(factor) + 1

    if parameters.get("mscale") and parameters.get("mscale_all_dim"):
        above = _number(source, parameters, "mscale")
        return grown(above) / grown(_number(source, parameters, "mscale_all_dim"))
    return grown(1.0)


def _original(source: Source, parameters: Parameters) -> float:
    """Length of the context before scaling."""
    name = "original_max_position_embeddings"
    return _number(source, parameters, name, source.number("context_length"))


def _number(
    source: Source, parameters: Parameters, name: str, default: float | None = None
) -> float:
    value = parameters.get(name)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e30:
        raise source.refuse(f"scales its rope with {name} {value}")
    return float(value)


_SCALINGS: Final[
    Mapping[str, Callable[[Source, Parameters, _Exact, float], tuple[_Exact, float]]]
] = {
    "default": _plain,
    "none": _plain,
    "linear": _linear,
    "llama3": _llama3,
    "yarn": _yarn,
}
