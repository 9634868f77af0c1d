"""The element-wise work of a transformer, in place and in pieces that stay in the cache."""

import numpy as np

from ponant.engine.encoders.weights import Norm
from ponant.engine.models.spec import Floats

_PIECE = 32_768  # elements: 128 KiB, a quarter of a usual second-level cache
# log(erfc(a / sqrt 2) / 2) on a >= 0, fitted so that the largest error of a * exp(it) is least.
_LOG_TAIL = (
    -0.6931732892990112,
    -0.7976652979850769,
    -0.3188426196575165,
    -0.035923853516578674,
    0.004910573363304138,
    -0.0003280623641330749,
)


def gelu(values: Floats) -> None:
    """GELU in place, x * Phi(x) (Hendrycks and Gimpel, arXiv 1606.08415).

    It is max(x, 0) - |x| * Phi(-|x|); the tail is the exponential of a polynomial. At most 6.4e-7
    from the exact function, and exact from where the tail vanishes.
    """
    flat = values.reshape(-1)
    size = np.empty(min(_PIECE, flat.size), dtype=np.float32)
    tail = np.empty_like(size)
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE]
        _gelu_piece(piece, size[: piece.size], tail[: piece.size])


def _gelu_piece(piece: Floats, size: Floats, tail: Floats) -> None:
    np.abs(piece, out=size)
    np.multiply(size, np.float32(_LOG_TAIL[-1]), out=tail)
    for coefficient in _LOG_TAIL[-2:0:-1]:
        tail += np.float32(coefficient)
        tail *= size
    tail += np.float32(_LOG_TAIL[0])
    np.exp(tail, out=tail)
    tail *= size
    np.maximum(piece, np.float32(0), out=piece)
    piece -= tail


def layer_norm(values: Floats, norm: Norm, epsilon: float) -> None:
    """Normalise each row to mean 0 and variance 1, then scale and shift; in place."""
    values -= values.mean(axis=1, keepdims=True)
    variance = np.einsum("ij,ij->i", values, values) / np.float32(values.shape[1])
    values *= (1.0 / np.sqrt(variance + np.float32(epsilon)))[:, None]
    values *= norm.weight
    values += norm.bias


def attend(qkv: Floats, heads: int, context: Floats) -> None:
    """Full attention among the tokens of one sequence.

    Args:
        qkv: queries (already scaled), keys and values side by side, of shape (tokens, 3 * hidden).
        context: receives the result, of shape (tokens, hidden).
    """
    tokens, hidden = context.shape
    query, key, value = qkv.reshape(tokens, 3, heads, hidden // heads).transpose(1, 2, 0, 3)
    weights = np.matmul(query, key.swapaxes(1, 2))
    weights -= weights.max(axis=2, keepdims=True)
    np.exp(weights, out=weights)
    mixed = np.matmul(weights, value)
    mixed /= weights.sum(axis=2, keepdims=True)
    context.reshape(tokens, heads, -1)[:] = mixed.swapaxes(0, 1)
