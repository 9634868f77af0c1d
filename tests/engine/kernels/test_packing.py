"""Packing keeps every value; the NumPy reader and the gguf package say what the values are."""

import mmap
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.engine.kernels.library import Form, library
from ponant.engine.kernels.packing import LOSSLESS, Pool, pack, packed_size
from ponant.engine.models.spec import Floats
from tests.engine.kernels.stored import NUMBERS, StoredMatrix


def _same_bits(a: Floats, b: Floats) -> bool:
    return np.array_equal(a.view(np.uint32), b.view(np.uint32))


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("outputs", [16, 53])
def test_packed_rows_are_the_files_values(name: str, outputs: int, pool: Pool) -> None:
    matrix = StoredMatrix(name, outputs, 512)
    rows = pack(matrix, None, pool).rows(np.arange(outputs, dtype=np.int32))
    assert _same_bits(rows, matrix.values())
    independent = gguf.dequantize(
        matrix.raw().reshape(outputs, -1), gguf.GGMLQuantizationType(NUMBERS[name])
    )
    assert _same_bits(rows, independent.astype(np.float32))


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(LOSSLESS)),
    outputs=st.integers(1, 70),
    blocks=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_any_shape_keeps_its_values(
    name: str, outputs: int, blocks: int, seed: int, pool: Pool
) -> None:
    values = 256 if name.endswith("K") else 32
    matrix = StoredMatrix(name, outputs, blocks * values, seed)
    rows = pack(matrix, None, pool).rows(np.arange(outputs, dtype=np.int32))
    assert _same_bits(rows, matrix.values())


@pytest.mark.parametrize("name", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("inputs", [1, 31, 48])
def test_floats_need_no_whole_blocks(name: str, inputs: int, pool: Pool) -> None:
    matrix = StoredMatrix(name, 5, inputs)
    rows = pack(matrix, None, pool).rows(np.arange(5, dtype=np.int32))
    assert _same_bits(rows, matrix.values())


@pytest.mark.parametrize("name", ["Q4_K", "Q8_0", "F16", "BF16"])
def test_values_can_be_expanded(name: str, pool: Pool) -> None:
    matrix = StoredMatrix(name, 20, 256)
    rows = pack(matrix, Form.F32, pool).rows(np.arange(20, dtype=np.int32))
    assert _same_bits(rows, matrix.values())


@pytest.mark.parametrize("name", ["F32", "F16", "Q6_K"])
def test_bf16_rounds_to_nearest_even(name: str, pool: Pool) -> None:
    matrix = StoredMatrix(name, 20, 256)
    rows = pack(matrix, Form.BF16, pool).rows(np.arange(20, dtype=np.int32))
    bits = matrix.values().view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
    assert np.array_equal(rows.view(np.uint32), rounded)


@pytest.mark.parametrize("inputs", [48, 256])
def test_our_own_codes_are_within_half_a_step(inputs: int, pool: Pool) -> None:
    matrix = StoredMatrix("F32", 20, inputs)
    rows = pack(matrix, Form.I8, pool).rows(np.arange(20, dtype=np.int32))
    for start in range(0, inputs, 32):
        block = matrix.values()[:, start : start + 32]
        scale = (np.abs(block).max(1, keepdims=True) / np.float32(127)).astype(np.float16)
        most = 0.5 * scale + 127 * np.spacing(scale)
        assert np.all(np.abs(rows[:, start : start + 32] - block) <= most)


def test_own_codes_of_zeros_and_of_tiny_weights_are_zeros(pool: Pool) -> None:
    matrix = StoredMatrix("F32", 16, 64)
    matrix.raw().reshape(-1).view(np.float32)[:] = 1e-12
    assert not pack(matrix, Form.I8, pool).rows(np.arange(16, dtype=np.int32)).any()


def test_sizes_are_near_the_files() -> None:
    outputs, inputs = 4096, 4096
    file = {name: StoredMatrix(name, 16, inputs).raw().nbytes * 256 for name in LOSSLESS}
    grown = {n: packed_size(LOSSLESS[n], outputs, inputs) / size for n, size in file.items()}
    for name in ("Q4_K", "Q5_K", "Q6_K"):
        assert grown[name] <= 1.03
    for name in ("Q4_0", "Q5_0", "Q8_0"):
        assert grown[name] <= 1.001
    for name in ("F32", "F16", "BF16"):
        assert grown[name] == 1


def test_a_form_that_does_not_hold_the_type_is_refused(pool: Pool) -> None:
    matrix = StoredMatrix("Q4_K", 16, 256)
    out = np.zeros(packed_size(Form.I8, 16, 256), np.uint8)
    for form, inputs in ((Form.I8, 256), (Form.I4M, 250), (99, 256)):
        status = library().pn_pack(
            pool.pointer, NUMBERS["Q4_K"], matrix.raw().ctypes.data, form, 16, inputs,
            out.ctypes.data,
        )  # fmt: skip
        assert status == -1
    with pytest.raises(ValueError, match="I4M"):
        pack(StoredMatrix("F32", 16, 256), Form.I4M, pool)


def test_rows_outside_the_matrix_are_refused(pool: Pool) -> None:
    packed = pack(StoredMatrix("Q8_0", 20, 32), None, pool)
    for row in (-1, 20):
        with pytest.raises(IndexError, match="20 rows"):
            packed.rows(np.array([row], np.int32))


class _Mapped(StoredMatrix):
    """Weights in a mapped file."""

    def __init__(self, path: Path, name: str, outputs: int, inputs: int) -> None:
        super().__init__(name, outputs, inputs)
        path.write_bytes(self._raw.tobytes())
        with path.open("rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._raw = np.frombuffer(self.map, np.uint8).reshape(self._raw.shape)


def _resident_of(path: Path) -> int:
    """Kilobytes of a file that are mapped in now."""
    lines = Path("/proc/self/smaps").read_text("utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if line.endswith(str(path))]
    rows = [next(line for line in lines[i:] if line.startswith("Rss:")) for i in starts]
    return sum(int(row.split()[1]) for row in rows)


@pytest.mark.parametrize("form", [None, Form.F32])
def test_the_files_pages_are_given_back(form: Form | None, tmp_path: Path, pool: Pool) -> None:
    matrix = _Mapped(tmp_path / "weights", "Q8_0", 4096, 1024)
    expected = StoredMatrix("Q8_0", 4096, 1024).values()
    assert matrix.raw().sum() > 0
    assert _resident_of(tmp_path / "weights") > 4000
    packed = pack(matrix, form, pool)
    assert _resident_of(tmp_path / "weights") < 100
    assert _same_bits(packed.rows(np.arange(4096, dtype=np.int32)), expected)
    assert _same_bits(matrix.values(), expected)
