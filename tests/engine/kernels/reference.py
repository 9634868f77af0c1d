"""A decoder in plain NumPy and float64: each formula as the papers write it, nothing shared."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponant.engine.models.spec import (
    Attention,
    DecoderSpec,
    Experts,
    FeedForward,
    Linear,
    Matrix,
    Rope,
)

Doubles = NDArray[np.float64]
Weights = Callable[[Matrix], NDArray[Any]]


def stored(matrix: Matrix) -> NDArray[Any]:
    """The matrix as it stands in the file."""
    return matrix.values()


def hidden_states(
    spec: DecoderSpec, tokens: NDArray[np.int32], weights: Weights = stored
) -> Doubles:
    """What the last norm gives for every token of a sequence, shape (tokens, width)."""

    def times(x: Doubles, linear: Linear) -> Doubles:
        product = x @ weights(linear.matrix).astype(np.float64).T
        return product if linear.bias is None else product + linear.bias

    def norm(x: Doubles, weight: NDArray[np.float32] | None) -> Doubles:
        if weight is None:
            return x
        return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + spec.epsilon) * weight

    def heads_of(x: Doubles, norm_weight: NDArray[np.float32] | None) -> Doubles:
        return norm(x.reshape(len(x), -1, spec.head_size), norm_weight)

    def attend(x: Doubles, part: Attention) -> Doubles:
        positions = np.arange(len(x))
        rope = spec.ropes[part.rope]
        query = _rotate(heads_of(times(x, part.query), part.query_norm), rope)
        key = _rotate(heads_of(times(x, part.key), part.key_norm), rope)
        value = heads_of(times(x, part.value), None)
        if part.temperature is not None:
            beta, length = part.temperature
            query *= (1 + beta * np.log(1 + positions // length))[:, None, None]
        group = spec.heads // spec.key_value_heads
        key, value = key.repeat(group, 1), value.repeat(group, 1)
        scores = np.einsum("qhd,khd->hqk", query, key) * part.query_scale
        ago = positions[:, None] - positions
        seen = (ago >= 0) & (ago < (part.window or len(x)))
        scores = np.where(seen, scores, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        return times(np.einsum("hqk,khd->qhd", shares, value).reshape(len(x), -1), part.output)

    def feed(x: Doubles, part: FeedForward) -> Doubles:
        up = times(x, part.up)
        if part.gate is None:
            return times(_activate(up, part), part.down)
        return times(_activate(times(x, part.gate), part) * up, part.down)

    def mix(x: Doubles, part: Experts) -> Doubles:
        out = np.zeros_like(x)
        for row, scores in enumerate(times(x, part.router)):
            chosen = np.argsort(-scores)[: part.chosen]
            shares = np.exp(scores[chosen]) / np.exp(scores[chosen]).sum()
            for expert, share in zip(chosen, shares, strict=True):
                out[row] += share * feed(x[row : row + 1], part.experts[expert])[0]
        return out

    x = weights(spec.embedding).astype(np.float64)[tokens] * spec.embedding_scale
    for layer in spec.layers:
        attended = attend(norm(x, layer.attention_norm), layer.attention)
        x = x + norm(attended, layer.attention_post_norm)
        entering = norm(x, layer.feed_forward_norm)
        part = layer.feed_forward
        fed = mix(entering, part) if isinstance(part, Experts) else feed(entering, part)
        x = x + norm(fed, layer.feed_forward_post_norm)
    return norm(x, spec.norm)


def _rotate(x: Doubles, rope: Rope) -> Doubles:
    pairs = len(rope.frequencies)
    positions = np.arange(len(x), dtype=np.float32)
    angles = (positions[:, None] * rope.frequencies).astype(np.float64)  # float32, as trained
    cosines, sines = np.cos(angles)[:, None] * rope.factor, np.sin(angles)[:, None] * rope.factor
    out = x.copy()
    first = np.s_[..., 0 : 2 * pairs : 2] if rope.interleaved else np.s_[..., :pairs]
    second = np.s_[..., 1 : 2 * pairs : 2] if rope.interleaved else np.s_[..., pairs : 2 * pairs]
    out[first] = x[first] * cosines - x[second] * sines
    out[second] = x[second] * cosines + x[first] * sines
    return out


def _activate(x: Doubles, part: FeedForward) -> Doubles:
    match part.activation:
        case "silu":
            return x / (1 + np.exp(-x))
        case "gelu":
            return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        case _:
            assert part.xielu is not None
            alpha_p, alpha_n, beta, eps = part.xielu
            positive = alpha_p * x * x + beta * x
            negative = alpha_n * (np.expm1(np.minimum(x, eps)) - x) + beta * x
            return np.where(x > 0, positive, negative)
