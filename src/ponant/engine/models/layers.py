"""Building blocks that model families share.

Matrix products go through oneDNN with weights in its own layout, so that AMX or AVX512-BF16 is
used where there is one. Its kernels give a row the same bits however many rows stand beside it
(measured from 2 to 2,048 rows); a row on its own may be summed in another order.
"""

from operator import attrgetter

import numpy as np
import torch
from torch import Tensor

from ponant.engine.errors import ModelFileError
from ponant.engine.weights import GgufFile

# torch has no public name for oneDNN's packed linears.
_pack, _linear = attrgetter("_reorder_linear_weight", "_linear_pointwise")(torch.ops.mkldnn)
_ROWS_AT_ONCE = 8192  # dequantised together while loading


def linear(x: Tensor, weight: Tensor, activation: str = "none", algorithm: str = "") -> Tensor:
    """``activation(x @ weight.T)``, the same for a row whatever the other rows.

    Args:
        x: shape (rows, inputs).
        weight: plain or packed, shape (outputs, inputs), of the type of ``x``.
        activation: ``none`` or an activation that oneDNN fuses.
        algorithm: which formula of the activation.
    """
    if len(x) == 1:
        return linear(x.expand(2, -1), weight, activation, algorithm)[:1]
    out: Tensor = _linear(x, weight, None, activation, [], algorithm)
    return out


class PackedLinear:
    """A weight matrix in oneDNN's layout.

    Args:
        weight: shape (outputs, inputs), bfloat16 or float32.
    """

    def __init__(self, weight: Tensor) -> None:
        self._weight = _pack(weight)

    def __call__(self, x: Tensor) -> Tensor:
        return linear(x, self._weight)

    def gelu(self, x: Tensor) -> Tensor:
        """``gelu(x @ weight.T)`` with the tanh formula, before rounding to the output's type."""
        return linear(x, self._weight, "gelu", "tanh")

    def times(self, x: Tensor, factor: Tensor) -> Tensor:
        """``(x @ weight.T) * factor``; two rows or more."""
        out: Tensor = _linear.binary(x, factor, self._weight, None, "mul")
        return out


class Rope:
    """Rotary position embedding, halves rotated against each other (arXiv 2104.09864).

    Args:
        head_size: values in a head.
        base: wavelength base, theta.
        length: positions to prepare.
        scale: positions are divided by this (linear scaling).
    """

    def __init__(self, head_size: int, base: float, length: int, scale: float = 1.0) -> None:
        exponents = torch.arange(0, head_size, 2, dtype=torch.float64) / head_size
        angles = torch.outer(torch.arange(length, dtype=torch.float64) / scale, base**-exponents)
        self._cosines = angles.cos().float()
        self._sines = angles.sin().float()

    def at(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Factors for positions, to hand to `rotate`: shape (rows, 1, head size) each."""
        cosines, sines = self._cosines[positions], self._sines[positions]
        factors = torch.cat((cosines, cosines), -1), torch.cat((-sines, sines), -1)
        return factors[0][:, None], factors[1][:, None]


def rotate(x: Tensor, factors: tuple[Tensor, Tensor]) -> Tensor:
    """Turn heads, shape (rows, heads, head size), to their positions."""
    cosines, sines = factors
    return x * cosines + x.roll(x.shape[-1] // 2, -1) * sines


def load_tensor(
    file: GgufFile, name: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> Tensor:
    """A tensor's values as plain numbers.

    Raises:
        ModelFileError: the file lacks it, or it has another shape.
    """
    info = file.tensors.get(name)
    if info is None:
        raise ModelFileError(f"{file.path} lacks the tensor {name}: fetch the model again.")
    if info.shape != shape:
        raise ModelFileError(
            f"{file.path} has a tensor {name} of shape {info.shape}, and {shape} is right for its "
            "settings: fetch the model again."
        )
    out = torch.empty(shape, dtype=dtype)
    for start in range(0, shape[0], _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, shape[0])
        out[start:stop] = torch.from_numpy(file.dequantise(name, start, stop))
    return out


class Embedding:
    """Token embeddings, expanded row by row from the mapped file: they take no memory of ours."""

    def __init__(self, file: GgufFile, name: str) -> None:
        self._file = file
        self._name = name

    def rows(self, tokens: np.ndarray) -> Tensor:
        """Float32 rows, shape (tokens, width)."""
        return torch.from_numpy(self._file.rows(self._name, tokens))


def packs_bfloat16() -> bool:
    """Whether oneDNN multiplies packed bfloat16 on this processor."""
    try:
        PackedLinear(torch.zeros(2, 2, dtype=torch.bfloat16))(
            torch.zeros(2, 2, dtype=torch.bfloat16)
        )
    except RuntimeError:
        return False
    return True
