"""Torch operators that give a row the same bits whatever rows stand beside it.

On a processor, matrix products go through oneDNN with weights in its own layout, so that AMX or
AVX512-BF16 is used where there is one. Its kernels give a row the same bits however many rows
stand beside it (measured from 2 to 2,048); a row on its own may be summed in another order, so it
is given a twin. Activations are fused into those kernels, or computed in float64 and rounded:
torch's own take one formula for whole vectors and another for what is left over. On other devices
plain operators run, and the library there decides about bits.
"""

from operator import attrgetter
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from ponant.engine.models.spec import Activation, FeedForward, Linear, Matrix, Rope

# torch has no public name for oneDNN's packed linears.
_pack, _linear = attrgetter("_reorder_linear_weight", "_linear_pointwise")(torch.ops.mkldnn)
_ROWS_AT_ONCE: Final = 8192  # expanded together while loading
_FUSED: Final[dict[Activation, tuple[str, str]]] = {"silu": ("swish", ""), "gelu": ("gelu", "tanh")}


def linear(x: Tensor, weight: Tensor, activation: str = "none", algorithm: str = "") -> Tensor:
    """``activation(x @ weight.T)``, the same for a row whatever the other rows.

    Args:
        x: shape (rows, inputs).
        weight: plain or packed, shape (outputs, inputs), of the type of ``x``.
        activation: ``none`` or an activation that oneDNN fuses.
        algorithm: which formula of the activation.
    """
    if x.device.type != "cpu":
        return functional.linear(x, weight)
    if len(x) == 1:
        return linear(x.expand(2, -1), weight, activation, algorithm)[:1]
    out: Tensor = _linear(x, weight, None, activation, [], algorithm)
    return out


class Product:
    """Weights of one or several projections of the same input.

    Args:
        linears: their outputs stand side by side.
        dtype: bfloat16 or float32.
        device: where they are kept.
    """

    def __init__(self, *linears: Linear, dtype: torch.dtype, device: torch.device) -> None:
        weight = torch.cat([load(part.matrix, dtype) for part in linears])
        self.weight_bytes = weight.nbytes
        self._weight = _pack(weight) if device.type == "cpu" else weight.to(device)
        self._bias = _bias(linears, device)
        self._dtype = dtype

    def __call__(self, x: Tensor) -> Tensor:
        """``x @ weight.T + bias`` in float32."""
        out = linear(x.to(self._dtype), self._weight).float()
        return out if self._bias is None else out + self._bias

    def activated(self, x: Tensor, activation: Activation) -> Tensor:
        """``activation(x @ weight.T + bias)``, of the weights' type where oneDNN fuses it."""
        if self._bias is not None or x.device.type != "cpu":
            return activate(self(x), activation)
        return linear(x.to(self._dtype), self._weight, *_FUSED[activation])

    def times(self, x: Tensor, factor: Tensor) -> Tensor:
        """``(x @ weight.T + bias) * factor``."""
        if self._bias is not None or x.device.type != "cpu":
            return self(x) * factor
        if len(x) == 1:
            return self.times(x.expand(2, -1), factor.expand(2, -1))[:1]
        x, factor = x.to(self._dtype), factor.to(self._dtype)
        out: Tensor = _linear.binary(x, factor, self._weight, None, "mul")
        return out


class Feed:
    """A feed-forward in memory; see `models.spec.FeedForward`."""

    def __init__(self, spec: FeedForward, *, dtype: torch.dtype, device: torch.device) -> None:
        self._up = Product(spec.up, dtype=dtype, device=device)
        self._down = Product(spec.down, dtype=dtype, device=device)
        self._gate = Product(spec.gate, dtype=dtype, device=device) if spec.gate else None
        self._activation = spec.activation
        self._xielu = spec.xielu
        parts = (self._up, self._down, self._gate)
        self.weight_bytes = sum(part.weight_bytes for part in parts if part)

    def __call__(self, x: Tensor) -> Tensor:
        return self._down(self._inside(x))

    def _inside(self, x: Tensor) -> Tensor:
        entering = self._gate or self._up
        if self._xielu:
            opened = xielu(entering(x), self._xielu)
        else:
            opened = entering.activated(x, self._activation)
        return self._up.times(x, opened) if self._gate else opened


def activate(x: Tensor, activation: Activation) -> Tensor:
    """An activation outside of a fused product."""
    x = x.double()
    if activation == "silu":
        return functional.silu(x).float()
    return functional.gelu(x, approximate="tanh").float()


def xielu(x: Tensor, constants: tuple[float, float, float, float]) -> Tensor:
    """xIELU (arXiv 2411.13010); constants as in `FeedForward.xielu`."""
    alpha_p, alpha_n, beta, epsilon = constants
    x = x.double()
    above = alpha_p * x * x
    below = (torch.expm1(x.clamp(max=epsilon)) - x) * alpha_n
    return (torch.where(x > 0, above, below) + beta * x).float()


class Rotation:
    """A rope at the positions of one batch.

    Args:
        rope: frequencies, factor and which values rotate against each other.
        positions: of each row, shape (rows,).
    """

    def __init__(self, rope: Rope, positions: Tensor) -> None:
        frequencies = torch.from_numpy(rope.frequencies).to(positions.device)
        angles = torch.outer(positions.float(), frequencies).double()  # float32, as in training
        self._cosines = (angles.cos() * rope.factor).float()[:, None]
        self._sines = (angles.sin() * rope.factor).float()[:, None]
        self._interleaved = rope.interleaved
        self._rotated = 2 * len(rope.frequencies)

    def __call__(self, x: Tensor) -> Tensor:
        """Turn heads, shape (rows, heads, head size), to their positions."""
        turned, rest = x[..., : self._rotated], x[..., self._rotated :]
        if self._interleaved:
            first, second = turned[..., ::2], turned[..., 1::2]
        else:
            first, second = turned.chunk(2, -1)
        halves = (
            first * self._cosines - second * self._sines,
            second * self._cosines + first * self._sines,
        )
        out = torch.stack(halves, -1).flatten(-2) if self._interleaved else torch.cat(halves, -1)
        return torch.cat((out, rest), -1) if rest.shape[-1] else out


def load(matrix: Matrix, dtype: torch.dtype) -> Tensor:
    """A matrix's values as plain numbers."""
    out = torch.empty((matrix.outputs, matrix.inputs), dtype=dtype)
    for start in range(0, matrix.outputs, _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, matrix.outputs)
        out[start:stop] = torch.from_numpy(matrix.values(start, stop))
    return out


def packs_bfloat16() -> bool:
    """Whether oneDNN multiplies packed bfloat16 on this processor."""
    two = torch.zeros(2, 2, dtype=torch.bfloat16)
    try:
        linear(two, _pack(two))
    except RuntimeError:
        return False
    return True


def _bias(linears: tuple[Linear, ...], device: torch.device) -> Tensor | None:
    if all(part.bias is None for part in linears):
        return None
    parts = [
        torch.zeros(part.matrix.outputs) if part.bias is None else torch.from_numpy(part.bias)
        for part in linears
    ]
    return torch.cat(parts).to(device)
