"""Products on matrix tiles, with the tiles in memory: the same bits as vectors give.

No processor at hand is sure to have the tiles (Intel AMX). What is written for them is compiled
here over an emulation of their five instructions, so that all but the instructions is tested; on
a processor that has them the kernels prove themselves when they are loaded (`tiles_usable`).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ponant.engine.kernels import build
from ponant.engine.kernels import library as binding
from ponant.engine.kernels.library import Form, InstructionSet, library
from ponant.engine.kernels.packing import LOSSLESS, Pool, pack
from tests.engine.kernels.stored import StoredMatrix

_SOURCES = {form: name for name, form in LOSSLESS.items()} | {Form.I8P: "Q8_0"}
_INPUTS = 768


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory, best_set: InstructionSet) -> Iterator[Pool]:
    """A pool over kernels whose tiles are emulated."""
    if best_set < InstructionSet.AVX512BF16:
        pytest.skip("what surrounds the tiles needs AVX-512 with BF16")
    target: Path = tmp_path_factory.mktemp("tiles") / "_cpu.so"
    build.build(target, emulated_tiles=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(binding, "LIBRARY", target)
        library.cache_clear()
        pool = Pool(2)
        yield pool
        pool.close()
    library.cache_clear()


@pytest.fixture(autouse=True)
def _set_restored() -> Iterator[None]:
    yield
    library().pn_set_isa(max(InstructionSet))


def test_they_prove_right_when_they_are_loaded(tiles: Pool) -> None:
    assert library().pn_isa() == InstructionSet.AMX
    library().pn_set_isa(InstructionSet.AVX512BF16)
    assert library().pn_isa() == InstructionSet.AVX512BF16


@pytest.mark.parametrize("form", [form for form in Form if form >= Form.I8])
def test_a_product_has_the_same_bits(form: Form, tiles: Pool) -> None:
    random = np.random.default_rng(form)
    for outputs in (16, 53, 200):
        matrix = StoredMatrix(_SOURCES[form], outputs, _INPUTS)
        packed = pack(matrix, form, tiles)
        x = random.normal(0, 3, (210, _INPUTS)).astype(np.float32)
        for rows in (1, 7, 8, 9, 15, 16, 17, 33, 70, 210):
            library().pn_set_isa(InstructionSet.AMX)
            tiled = packed.multiply(tiles, x[:rows])
            library().pn_set_isa(InstructionSet.AVX512BF16)
            assert np.array_equal(tiled, packed.multiply(tiles, x[:rows]))


def test_what_is_not_a_number_stays_in_its_row(tiles: Pool) -> None:
    packed = pack(StoredMatrix("Q4_K", 64, _INPUTS), None, tiles)
    x = np.ones((20, _INPUTS), np.float32)
    x[3, 5] = np.nan
    product = packed.multiply(tiles, x)
    assert np.isnan(product[3]).all()
    assert np.isfinite(np.delete(product, 3, axis=0)).all()
