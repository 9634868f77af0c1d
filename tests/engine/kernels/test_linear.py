"""Products with packed weights: near float64, and the same bits in every company."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from ponant.engine.kernels.library import Form, InstructionSet, library
from ponant.engine.kernels.packing import LOSSLESS, PackedMatrix, Pool, pack
from ponant.engine.models.spec import Floats
from tests.engine.kernels.stored import StoredMatrix

_OUTPUTS, _INPUTS = 53, 768
_SOURCES = {form: name for name, form in LOSSLESS.items()} | {Form.I8P: "Q8_0"}
_STEP = {Form.F32: 0.0, Form.F16: 0.0, Form.BF16: 2.0**-9}
"""Largest rounding of an activation, as a part of it (integer forms: of its block's largest)."""


def _rows(count: int, inputs: int = _INPUTS) -> Floats:
    random = np.random.default_rng(count)
    spread = random.uniform(0.01, 30, (count, inputs // 32)).repeat(32, axis=1)
    return (random.normal(0, 1, (count, inputs)) * spread).astype(np.float32)


def _bound(form: Form, x: Floats, weights: Floats) -> NDArray[np.float64]:
    """Most that a product may be off: activations' rounding, then float32's."""
    magnitude = np.abs(x).astype(np.float64)
    if form in _STEP:
        rounding = magnitude * _STEP[form]
    else:
        blocks = magnitude.reshape(len(x), -1, 32)
        largest = blocks.max(axis=2, keepdims=True)
        rounding = np.broadcast_to(largest / 254 * 1.001, blocks.shape).reshape(x.shape)
    sums = (magnitude + rounding) @ np.abs(weights).T.astype(np.float64)
    off: NDArray[np.float64] = rounding @ np.abs(weights).T.astype(np.float64) + 1e-5 * sums
    return off


def _packed(form: Form, pool: Pool) -> tuple[StoredMatrix, PackedMatrix]:
    matrix = StoredMatrix(_SOURCES[form], _OUTPUTS, _INPUTS)
    return matrix, pack(matrix, form, pool)


def _sets(best: InstructionSet) -> list[InstructionSet]:
    return [each for each in InstructionSet if each <= best]


@pytest.mark.parametrize("form", Form)
def test_products_are_near_float64(form: Form, pool: Pool, best_set: InstructionSet) -> None:
    matrix, packed = _packed(form, pool)
    x = _rows(9)
    exact = x.astype(np.float64) @ matrix.values().astype(np.float64).T
    for each in _sets(best_set):
        library().pn_set_isa(each)
        off = np.abs(packed.multiply(pool, x) - exact)
        assert np.all(off <= _bound(form, x, matrix.values()))


@pytest.mark.parametrize("form", Form)
def test_a_row_has_the_same_bits_in_any_company(
    form: Form, pool: Pool, best_set: InstructionSet
) -> None:
    _, packed = _packed(form, pool)
    x = _rows(70)
    for each in _sets(best_set):
        library().pn_set_isa(each)
        together = packed.multiply(pool, x)
        for count in range(1, 71):
            assert np.array_equal(packed.multiply(pool, x[:count]), together[:count])


@pytest.mark.parametrize("form", Form)
def test_threads_change_no_bit(form: Form, pool: Pool) -> None:
    matrix = StoredMatrix(_SOURCES[form], 200, _INPUTS)
    packed = pack(matrix, form, pool)
    x = _rows(300)
    results = []
    for threads in (1, 2, 3):
        other = Pool(threads)
        results += [packed.multiply(other, x), packed.multiply(other, x[:2])]
        other.close()
    assert all(np.array_equal(results[0], result) for result in results[2::2])
    assert all(np.array_equal(results[0][:2], result) for result in results[1::2])


@pytest.mark.parametrize("form", [form for form in Form if form >= Form.I8])
def test_integer_forms_agree_in_every_set(form: Form, pool: Pool, best_set: InstructionSet) -> None:
    _, packed = _packed(form, pool)
    x = _rows(13)
    results = []
    for each in _sets(best_set):
        library().pn_set_isa(each)
        results.append(packed.multiply(pool, x))
    assert all(np.array_equal(a, b) for a, b in itertools.pairwise(results))


def test_wide_codes_do_not_saturate(pool: Pool, best_set: InstructionSet) -> None:
    matrix = StoredMatrix("Q8_0", 16, 64)
    matrix.raw()[:, 2:] = 128  # -128, the largest magnitude
    packed = pack(matrix, None, pool)
    x = np.full((1, 64), 3.0, np.float32)
    exact = x.astype(np.float64) @ matrix.values().astype(np.float64).T
    for each in _sets(best_set):
        library().pn_set_isa(each)
        assert np.allclose(packed.multiply(pool, x), exact, rtol=1e-6)


@pytest.mark.parametrize("form", Form)
def test_bias_is_added(form: Form, pool: Pool) -> None:
    matrix = StoredMatrix(_SOURCES[form], _OUTPUTS, _INPUTS)
    bias = np.random.default_rng(1).normal(0, 1, _OUTPUTS).astype(np.float32)
    x = _rows(3)
    plain = pack(matrix, form, pool).multiply(pool, x)
    biased = pack(matrix, form, pool, bias=bias).multiply(pool, x)
    assert np.allclose(biased, plain + bias, rtol=1e-4, atol=1e-3)
    assert not np.array_equal(biased, plain)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_seen(form: Form, poison: float, pool: Pool) -> None:
    _, packed = _packed(form, pool)
    x = _rows(3)
    x[1, 100] = poison
    out = packed.multiply(pool, x)
    assert not np.isfinite(out[1]).any()
    assert np.isfinite(out[[0, 2]]).all()


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("size", [0.0, 1e-38, 1e-42])
def test_rows_of_nothing_give_nothing(form: Form, size: float, pool: Pool) -> None:
    _, packed = _packed(form, pool)
    out = packed.multiply(pool, np.full((2, _INPUTS), size, np.float32))
    assert np.all(np.abs(out) < 1e-30)


@pytest.mark.parametrize("form", [Form.F32, Form.BF16, Form.I8])
def test_inputs_need_no_whole_blocks(form: Form, pool: Pool) -> None:
    matrix = StoredMatrix("F32", 20, 49)
    packed = pack(matrix, form, pool)
    weights = packed.rows(np.arange(20, dtype=np.int32))
    x = np.random.default_rng(2).normal(0, 1, (5, 49)).astype(np.float32)
    padded = [np.pad(each, ((0, 0), (0, 15))) for each in (x, weights)]
    exact = padded[0].astype(np.float64) @ padded[1].astype(np.float64).T
    off = np.abs(packed.multiply(pool, x) - exact)
    assert np.all(off <= _bound(form, padded[0], padded[1]))
