"""The encoder's kernels against NumPy: every instruction set, every form, bits in any batch."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertModel

from ponant.engine.encoders.bert import NumpyBert
from ponant.engine.encoders.checkpoint import read_checkpoint
from ponant.engine.encoders.e5file import read_e5
from ponant.engine.encoders.sequences import Sequences, checked
from ponant.engine.encoders.weights import BertWeights
from ponant.engine.errors import ModelFileError
from ponant.engine.kernels.encoder import KernelBert
from ponant.engine.kernels.library import Form, InstructionSet, available, library
from tests.engine.encoders.e5_writer import POSITIONS, VOCABULARY, small_e5

pytestmark = pytest.mark.skipif(not available(), reason="the kernels are not compiled")

_BATCH = [[0, 5, 9, 2], [0, 2], [7], [0, *range(10, 24), 2], [3] * 32, list(range(17))]


@pytest.fixture(params=list(InstructionSet), ids=lambda level: level.name)
def level(request: pytest.FixtureRequest) -> Iterator[InstructionSet]:
    library().pn_set_isa(request.param)
    yield request.param
    library().pn_set_isa(InstructionSet.AVX512BF16)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> BertWeights:
    """Sizes that are no multiples of 16: heads of 12, 40 hidden values in the last layer."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60,
        hidden_size=60,
        num_hidden_layers=2,
        num_attention_heads=5,
        intermediate_size=104,
        initializer_range=0.2,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    return read_checkpoint(folder)


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> BertWeights:
    path = tmp_path_factory.mktemp("e5") / "small.bin"
    path.write_bytes(small_e5())
    return read_e5(path)


def _sequences(weights: BertWeights, batch: list[list[int]], pooling: str = "mean") -> Sequences:
    tokens, starts = checked(batch, weights.max_tokens, weights.words.outputs)
    return Sequences(tokens, starts, np.diff(starts) // 2, pooling)


def _cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return (ours * theirs).sum(axis=1) / lengths


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_float32_agrees_with_numpy(
    weights: BertWeights, level: InstructionSet, pooling: str
) -> None:
    sequences = _sequences(weights, _BATCH, pooling)
    expected = NumpyBert(weights, 1).pooled(sequences)
    ours = KernelBert(weights, 2, Form.F32).pooled(sequences)
    assert np.abs(ours - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("form", "angle"), [(Form.BF16, 1e-3), (Form.I8, 3e-3)], ids=["BF16", "I8"]
)
def test_smaller_forms_stay_near(
    weights: BertWeights, level: InstructionSet, form: Form, angle: float
) -> None:
    sequences = _sequences(weights, _BATCH)
    expected = NumpyBert(weights, 1).pooled(sequences)
    ours = KernelBert(weights, 2, form).pooled(sequences)
    assert _cosines(ours, expected).min() > 1 - angle


def test_a_4_bit_file_stays_packed(quantised: BertWeights, level: InstructionSet) -> None:
    batch = [[1, 2, 3], list(range(POSITIONS)), [49]]
    sequences = _sequences(quantised, batch)
    kernels = KernelBert(quantised, 2, None)
    expected = NumpyBert(quantised, 1).pooled(sequences)
    assert _cosines(kernels.pooled(sequences), expected).min() > 0.998
    weights = sum(linear.matrix.raw().nbytes for one in quantised.layers for linear in one.maps)
    assert kernels.resident_bytes < 1.15 * weights + quantised.words.raw().nbytes + 20_000


_ids = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=POSITIONS)


@settings(deadline=None, max_examples=40)
@given(batch=st.lists(_ids, min_size=1, max_size=90), threads=st.integers(1, 3))
def test_a_vector_has_the_same_bits_in_any_batch(
    quantised: BertWeights, batch: list[list[int]], threads: int
) -> None:
    for form in (None, Form.BF16):
        together = KernelBert(quantised, threads, form).pooled(_sequences(quantised, batch))
        alone = KernelBert(quantised, 1, form)
        for index in {0, len(batch) // 2, len(batch) - 1}:
            expected = alone.pooled(_sequences(quantised, [batch[index]]))[0]
            assert together[index].tobytes() == expected.tobytes()


def test_what_is_no_number_is_told(weights: BertWeights) -> None:
    broken = weights.positions.copy()
    broken[1, 3] = np.nan
    damaged = BertWeights(
        **{
            name: getattr(weights, name)
            for name in BertWeights.__dataclass_fields__
            if name != "positions"
        },
        positions=broken,
    )
    kernels = KernelBert(damaged, 1, Form.BF16)
    with pytest.raises(ModelFileError, match="no numbers"):
        kernels.pooled(_sequences(damaged, [[1, 2]]))
    assert np.isfinite(kernels.pooled(_sequences(damaged, [[1]]))).all()
