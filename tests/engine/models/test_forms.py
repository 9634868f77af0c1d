"""Every format of GGUF's weights, packed without loss, gives the logits of its plain values."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind

from ponant.engine.decoder import Floats
from ponant.engine.kernels import library
from ponant.engine.kernels.weights import WeightForm
from ponant.engine.models import load_spec
from ponant.engine.models.spec import DecoderSpec, FeedForward, LayerSpec, Linear, Matrix
from ponant.engine.torch_decoder import TorchDecoder
from tests.engine.forward import forward, pages_for

K_KINDS = (Kind.Q4_K, Kind.Q5_K, Kind.Q6_K)
KINDS = (Kind.F32, Kind.F16, Kind.BF16, Kind.Q4_0, Kind.Q5_0, Kind.Q8_0, *K_KINDS)
WIDTH, HEADS, KEY_VALUE_HEADS, HEAD_SIZE, INNER, VOCABULARY = 256, 4, 2, 64, 512, 320
TOKENS = np.random.default_rng(11).integers(0, VOCABULARY, 24).tolist()


def random_rows(kind: Kind, shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Stored rows whose values have a standard deviation of about 0.1."""
    values = random.normal(0, 0.1, shape).astype(np.float32)
    if kind not in K_KINDS:
        return gguf.quantize(values, kind)
    of_block, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (values.size // of_block, size), dtype=np.uint8)
    scale = np.full((len(blocks), 1), 1e-4, np.float16).view(np.uint8)
    if kind == Kind.Q6_K:
        blocks[:, -2:] = scale
    else:  # minima that bring the mean of random codes near zero
        middle = 7.5e-4 if kind == Kind.Q4_K else 15.5e-4
        blocks[:, :2] = scale
        blocks[:, 2:4] = np.full((len(blocks), 1), middle, np.float16).view(np.uint8)
    return blocks.reshape(shape[0], -1)


def write(path: Path, kind: Kind) -> Path:
    """A Llama of two layers in one format."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(2)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1e4)
    random = np.random.default_rng(7)
    matrices = {"token_embd": (VOCABULARY, WIDTH), "output": (VOCABULARY, WIDTH)}
    for layer in range(2):
        matrices |= {
            f"blk.{layer}.attn_q": (WIDTH, WIDTH),
            f"blk.{layer}.attn_k": (KEY_VALUE_HEADS * HEAD_SIZE, WIDTH),
            f"blk.{layer}.attn_v": (KEY_VALUE_HEADS * HEAD_SIZE, WIDTH),
            f"blk.{layer}.attn_output": (WIDTH, WIDTH),
            f"blk.{layer}.ffn_gate": (INNER, WIDTH),
            f"blk.{layer}.ffn_up": (INNER, WIDTH),
            f"blk.{layer}.ffn_down": (WIDTH, INNER),
        }
    for name, shape in matrices.items():
        writer.add_tensor(f"{name}.weight", random_rows(kind, shape, random), raw_dtype=kind)
    norms = ["output_norm", *(f"blk.{i}.{part}_norm" for i in (0, 1) for part in ("attn", "ffn"))]
    for name in norms:
        writer.add_tensor(f"{name}.weight", random.normal(1, 0.1, WIDTH).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@dataclass(frozen=True)
class Plain:
    """A matrix of float32 in memory."""

    array: Floats
    format: str = "F32"

    @property
    def outputs(self) -> int:
        return self.array.shape[0]

    @property
    def inputs(self) -> int:
        return self.array.shape[1]

    def raw(self) -> np.ndarray:
        return self.array.reshape(-1).view(np.uint8)

    def values(self, start: int = 0, stop: int | None = None) -> Floats:
        return self.array[start:stop]


def with_matrices(spec: DecoderSpec, change: Callable[[Matrix], Matrix]) -> DecoderSpec:
    """The same model with every matrix exchanged."""

    def linear(part: Linear) -> Linear:
        return replace(part, matrix=change(part.matrix))

    def layer(part: LayerSpec) -> LayerSpec:
        attention, feed = part.attention, part.feed_forward
        assert isinstance(feed, FeedForward)
        assert feed.gate is not None
        names = ("query", "key", "value", "output")
        return replace(
            part,
            attention=replace(attention, **{n: linear(getattr(attention, n)) for n in names}),
            feed_forward=replace(
                feed, gate=linear(feed.gate), up=linear(feed.up), down=linear(feed.down)
            ),
        )

    return replace(
        spec,
        embedding=change(spec.embedding),
        head=change(spec.head),
        layers=tuple(map(layer, spec.layers)),
    )


def exact_logits(spec: DecoderSpec) -> Floats:
    decoder = TorchDecoder(spec, form="fp32", context_length=64, pages=pages_for(len(TOKENS)))
    return forward(decoder, TOKENS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_values_from_the_file_are_those_of_the_gguf_package(tmp_path: Path, kind: Kind) -> None:
    path = write(tmp_path / "model.gguf", kind)
    matrix = load_spec(path).layers[1].feed_forward.down.matrix
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    tensor = tensors["blk.1.ffn_down.weight"]
    expected = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(WIDTH, INNER)
    np.testing.assert_allclose(matrix.values(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.skipif(not library.available(), reason="the kernels are not compiled")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_packing_loses_nothing(tmp_path: Path, kind: Kind) -> None:
    """Packed weights expanded to float32 give the logits of the file's values, within 1e-2."""
    from ponant.engine.kernels.packing import Pool, pack  # noqa: PLC0415 - needs the library

    spec = load_spec(write(tmp_path / "model.gguf", kind))
    pool = Pool(1)

    def repacked(matrix: Matrix) -> Plain:
        rows = np.arange(matrix.outputs, dtype=np.int32)
        return Plain(pack(matrix, None, pool).rows(rows))

    right = exact_logits(with_matrices(spec, lambda matrix: Plain(matrix.values())))
    got = exact_logits(with_matrices(spec, repacked))
    pool.close()
    assert right.std() > 0.3
    assert np.abs(got - right).max() < 1e-2


@pytest.mark.skipif(not library.available(), reason="the kernels are not compiled")
@pytest.mark.parametrize(
    ("kind", "form", "most"),
    [
        (Kind.Q4_0, "packed", 4.5 / 8 * 1.15),  # of the file, which has 4.5 bits a value
        (Kind.Q4_K, "packed", 4.5 / 8 * 1.15),
        (Kind.Q5_0, "packed", 1.3),
        (Kind.Q5_K, "packed", 1.3),
        (Kind.Q6_K, "packed", 1.3),
        (Kind.Q8_0, "packed", 1.3),
        (Kind.F16, "packed", 2.2),
        (Kind.BF16, "packed", 2.2),
        (Kind.BF16, "int8", 1.3),
        (Kind.F32, "bf16", 2.2),
    ],
)
def test_weights_take_so_many_bytes_a_parameter(
    tmp_path: Path, kind: Kind, form: WeightForm, most: float
) -> None:
    from ponant.engine.kernels.decoder import KernelDecoder, measure  # noqa: PLC0415

    spec = load_spec(write(tmp_path / "model.gguf", kind))
    found: list[Matrix] = []
    with_matrices(spec, lambda matrix: found.append(matrix) or matrix)
    parameters = sum(matrix.outputs * matrix.inputs for matrix in found)
    decoder = KernelDecoder(spec, form=form, context_length=16, pages=1, threads=1)
    cache = 2 * len(decoder.read_page(1))
    taken = decoder.resident_bytes - cache
    decoder.close()
    assert measure(spec, form) <= most * parameters
    assert 0 <= taken - measure(spec, form) < 8192, "norms and what rotates"


@pytest.mark.skipif(not library.available(), reason="the kernels are not compiled")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_kernels_on_packed_weights_stay_near(tmp_path: Path, kind: Kind) -> None:
    """They round activations to eight bits (bfloat16 for BF16): a few hundredths of the spread,
    and no logit further off than a third of it."""
    from ponant.engine.kernels.decoder import KernelDecoder  # noqa: PLC0415 - needs the library

    spec = load_spec(write(tmp_path / "model.gguf", kind))
    right = exact_logits(spec)
    decoder = KernelDecoder(
        spec, form="packed", context_length=64, pages=pages_for(len(TOKENS)), threads=1
    )
    got = forward(decoder, TOKENS)
    decoder.close()
    difference = np.abs(got - right)
    assert difference.mean() < 0.05 * right.std()
    assert difference.max() < 0.33 * right.std()
