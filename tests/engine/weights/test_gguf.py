"""The GGUF reader against the `gguf` package, and against files that are damaged."""

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.engine.errors import ModelFileError
from ponant.engine.weights import GgufFile

QUANTISED = [Kind.Q4_0, Kind.Q5_0, Kind.Q8_0, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K]


def random_blocks(kind: Kind, rows: int, columns: int, seed: int) -> np.ndarray:
    """Raw blocks of random codes whose half-precision scales are finite."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (rows * columns // values, size), dtype=np.uint8)
    scales = random.normal(0, 0.1, (len(blocks), 2)).astype(np.float16).view(np.uint8)
    match kind:
        case Kind.Q6_K:
            blocks[:, -2:] = scales[:, :2]
        case Kind.Q4_K | Kind.Q5_K:
            blocks[:, :4] = scales
        case _:
            blocks[:, :2] = scales[:, :2]
    return blocks.reshape(rows, -1)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_uint32("test.number", 7)
    writer.add_bool("test.flag", True)
    writer.add_array("test.words", ["a", "é", "", "日本"])
    writer.add_array("test.scores", [0.5, -1.0])
    writer.add_tensor("plain", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("half", np.arange(5, dtype=np.float16))
    writer.add_tensor("brain", np.array([[0x3F80, 0xC000]], np.uint16), raw_dtype=Kind.BF16)
    for seed, kind in enumerate(QUANTISED):
        writer.add_tensor(kind.name, random_blocks(kind, 6, 512, seed), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", QUANTISED, ids=lambda kind: kind.name)
def test_blocks_expand_as_the_gguf_package_expands_them(small: Path, kind: Kind) -> None:
    expected = gguf.dequantize(random_blocks(kind, 6, 512, QUANTISED.index(kind)), kind)
    file = GgufFile(small)
    assert file.tensors[kind.name].shape == (6, 512)
    np.testing.assert_allclose(file.dequantise(kind.name), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        file.dequantise(kind.name, 2, 5), expected[2:5], rtol=1e-6, atol=1e-6
    )


def test_plain_tensors_and_metadata(small: Path) -> None:
    file = GgufFile(small)
    assert file.dequantise("plain").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert file.dequantise("half", 1, 3).tolist() == [1, 2]
    assert file.dequantise("brain").tolist() == [[1, -2]]
    assert file.metadata["general.architecture"] == "gemma3"
    assert file.metadata["test.number"] == 7
    assert file.metadata["test.flag"] is True
    assert file.metadata["test.words"] == ["a", "é", "", "日本"]
    assert file.metadata["test.scores"].tolist() == [0.5, -1.0]


@settings(deadline=None)
@given(st.data())
def test_a_truncated_file_is_refused(small: Path, data: st.DataObject) -> None:
    whole = small.read_bytes()
    end = max(info.offset + info.size for info in GgufFile(small).tensors.values())
    short = small.with_name("short.gguf")
    short.write_bytes(whole[: data.draw(st.integers(0, end - 1))])
    with pytest.raises(ModelFileError, match="Fetch it again"):
        GgufFile(short)


@settings(deadline=None)
@given(st.data())
def test_damage_in_the_header_is_refused_or_harmless(small: Path, data: st.DataObject) -> None:
    bytes_ = bytearray(small.read_bytes())
    place = data.draw(st.integers(0, 1000))
    bytes_[place : place + 8] = data.draw(st.binary(min_size=8, max_size=8))
    damaged = small.with_name("damaged.gguf")
    damaged.write_bytes(bytes_)
    try:
        file = GgufFile(damaged)
        for info in file.tensors.values():
            assert info.offset + info.size <= len(bytes_)
    except ModelFileError:
        pass


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    with pytest.raises(ModelFileError, match="cannot be opened"):
        GgufFile(path)
    path.write_bytes(b"")
    with pytest.raises(ModelFileError, match="is empty"):
        GgufFile(path)
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(ModelFileError, match="no GGUF file"):
        GgufFile(path)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 9, 0, 0))
    with pytest.raises(ModelFileError, match="version is 9"):
        GgufFile(path)


@pytest.mark.model
def test_the_starter_expands_as_the_gguf_package_expands_it(models_home: Path) -> None:
    file = GgufFile(models_home / "models" / "starter" / "model.gguf")
    assert len(file.metadata["tokenizer.ggml.tokens"]) == 262_144
    for info in file.tensors.values():
        raw = file.raw(info.name)
        rows = info.shape[0]
        expected = gguf.dequantize(raw.reshape(rows, -1)[:8], Kind[info.format.name])
        got = (
            file.dequantise(info.name, 0, 8) if len(info.shape) > 1 else file.dequantise(info.name)
        )
        np.testing.assert_allclose(
            got[: len(expected)].ravel(), expected.ravel()[: got.size], rtol=1e-6, atol=1e-7
        )
