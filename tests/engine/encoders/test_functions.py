"""The element-wise functions against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.engine.encoders.functions import attend, gelu, layer_norm
from ponant.engine.encoders.weights import Norm


def test_gelu_is_within_its_stated_error_of_the_exact_function() -> None:
    points = np.linspace(-30, 30, 120_001).astype(np.float32)
    exact = [0.5 * float(x) * math.erfc(-float(x) / math.sqrt(2)) for x in points]
    gelu(points)
    assert np.abs(points - np.array(exact))[:90_000].max() < 6.5e-7
    assert points == pytest.approx(exact, rel=2e-7, abs=6.5e-7)


@given(st.integers(1, 3), st.integers(1, 70_000))
def test_gelu_treats_every_element_alike_wherever_it_lies(rows: int, columns: int) -> None:
    values = np.full((rows, columns), 0.7, dtype=np.float32)
    gelu(values)
    assert np.unique(values).size == 1


def test_layer_norm_gives_mean_zero_and_variance_one() -> None:
    values = np.random.default_rng(0).normal(3, 5, (7, 384)).astype(np.float32)
    layer_norm(values, Norm(np.ones(384, np.float32), np.zeros(384, np.float32)), 1e-12)
    assert np.abs(values.mean(axis=1)).max() < 1e-6
    assert values.var(axis=1) == pytest.approx(np.ones(7), abs=1e-5)


def test_attention_over_one_token_returns_its_value() -> None:
    qkv = np.random.default_rng(0).normal(size=(1, 96)).astype(np.float32)
    context = np.empty((1, 32), np.float32)
    attend(qkv, 4, context)
    assert context == pytest.approx(qkv[:, 64:], abs=1e-6)
