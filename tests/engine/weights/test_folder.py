"""Safetensors, sharded and FP8 checkpoints, and folders that are damaged or hostile."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from ponant.engine.errors import ModelFileError
from ponant.engine.weights.folder import FolderCheckpoint, layout_of
from ponant.engine.weights.safetensors import TYPES, SafetensorsFile

FP8 = torch.float8_e4m3fn


def write(folder: Path, tensors: dict[str, Tensor], config: dict[str, Any] | None = None) -> Path:
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **(config or {})}))
    return folder


def opened(folder: Path) -> FolderCheckpoint:
    return FolderCheckpoint(folder, layout_of(folder))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_plain_types(tmp_path: Path, dtype: torch.dtype) -> None:
    weight = torch.randn(5, 7, generator=torch.Generator().manual_seed(1)).to(dtype)
    checkpoint = opened(write(tmp_path, {"w.weight": weight, "n.weight": weight[0].clone()}))
    matrix = checkpoint.matrix("w.weight", 5, 7)
    np.testing.assert_array_equal(matrix.values(), weight.float().numpy())
    np.testing.assert_array_equal(matrix.values(1, 3), weight[1:3].float().numpy())
    np.testing.assert_array_equal(checkpoint.vector("n.weight", 7), weight[0].float().numpy())


def test_every_code_of_fp8() -> None:
    codes = np.arange(256, dtype=np.uint8).reshape(-1, 1)
    expected = torch.from_numpy(codes).view(FP8).float().numpy()
    np.testing.assert_array_equal(TYPES["F8_E4M3"].expand(codes), expected)


@pytest.mark.parametrize(
    ("name", "shape", "block"),
    [
        ("weight_scale_inv", (), (300, 200)),
        ("weight_scale", (1,), (300, 200)),
        ("qscale_weight", (), (300, 200)),
        ("weight_scale", (300, 1), (1, 200)),
        ("weight_scale", (300,), (1, 200)),
        ("weight_scale_inv", (3, 2), (128, 128)),
    ],
)
def test_fp8_with_its_scales(
    tmp_path: Path, name: str, shape: tuple[int, ...], block: tuple[int, int]
) -> None:
    random = torch.Generator().manual_seed(2)
    weight = torch.randn(300, 200, generator=random).to(FP8)
    scale = torch.rand(shape, generator=random) + 0.5
    folder = write(tmp_path, {"q.weight": weight, f"q.{name}": scale})
    table = scale.reshape(-(-300 // block[0]), -(-200 // block[1]))
    spread = table.repeat_interleave(block[0], 0)[:300].repeat_interleave(block[1], 1)[:, :200]
    expected = (weight.float() * spread).numpy()
    matrix = opened(folder).matrix("q.weight", 300, 200)
    assert matrix.format == "F8_E4M3"
    np.testing.assert_array_equal(matrix.values(), expected)
    np.testing.assert_array_equal(matrix.values(127, 131), expected[127:131])


def test_fp8_kept_as_bfloat16_loses_less_than_its_own_rounding(tmp_path: Path) -> None:
    """E4M3 itself rounds by up to 1/16 of a value; bfloat16 of value and scale by up to 1/256."""
    weight = torch.randn(64, 256, generator=torch.Generator().manual_seed(3)).to(FP8)
    folder = write(tmp_path, {"q.weight": weight, "q.weight_scale": torch.tensor(0.0173)})
    values = opened(folder).matrix("q.weight", 64, 256).values()
    kept = torch.from_numpy(values).bfloat16().float().numpy()
    assert np.abs(kept - values).max() <= np.abs(values).max() / 256
    np.testing.assert_allclose(kept, values, rtol=1 / 256)


def test_fp8_without_scales_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, {"q.weight": torch.zeros(4, 4).to(FP8)})
    with pytest.raises(ModelFileError, match="without the scales"):
        opened(folder).matrix("q.weight", 4, 4)


def test_scales_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    tensors = {"q.weight": torch.zeros(300, 200).to(FP8), "q.weight_scale": torch.ones(7, 5)}
    with pytest.raises(ModelFileError, match=r"shape \(7, 5\)"):
        opened(write(tmp_path, tensors)).matrix("q.weight", 300, 200)


def test_missing_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    checkpoint = opened(write(tmp_path, {"w": torch.zeros(2, 3), "i": torch.zeros(4).int()}))
    with pytest.raises(ModelFileError, match="lacks the tensor v"):
        checkpoint.vector("v", 3)
    with pytest.raises(ModelFileError, match=r"\(2, 3\), and \(3, 2\) is right"):
        checkpoint.matrix("w", 3, 2)
    with pytest.raises(ModelFileError, match="stores i as I32"):
        checkpoint.vector("i", 4)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="holds no model"):
        layout_of(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ModelFileError, match="no table of settings"):
        opened(tmp_path)
    (tmp_path / "config.json").write_text("{" * 10)
    with pytest.raises(ModelFileError, match="cannot be read"):
        opened(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelFileError, match="is empty"):
        opened(tmp_path)


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", "a/b.safetensors", ".."])
def test_an_index_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"w": torch.zeros(2)})
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(ModelFileError, match="no file beside it"):
        opened(tmp_path)


def test_other_compression_is_refused(tmp_path: Path) -> None:
    config = {"quantization_config": {"quant_method": "gptq"}}
    folder = write(tmp_path, {"w": torch.zeros(2)}, config)
    with pytest.raises(ModelFileError, match="compressed by gptq"):
        opened(folder)


ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**ENTRY, "shape": [2, 3]}, "does not fit its place"),
        ({**ENTRY, "shape": [-2, -2]}, "has the shape"),
        ({**ENTRY, "shape": [2**62, 4]}, "has the shape"),
        ({**ENTRY, "shape": "22"}, "has the shape"),
        ({**ENTRY, "shape": [1] * 9}, "has the shape"),
        ({**ENTRY, "data_offsets": [-16, 0]}, "has the shape"),
        ({**ENTRY, "data_offsets": [16, 0]}, "does not fit its place"),
        ({**ENTRY, "data_offsets": [8, 24]}, "ends before its tensor w"),
        ({**ENTRY, "data_offsets": [0]}, "incomplete"),
        ({**ENTRY, "dtype": "F4"}, "the type F4"),
        ({**ENTRY, "dtype": ["F32"]}, "the type"),
        ([], "incomplete"),
    ],
)
def test_hostile_entries_are_refused(tmp_path: Path, entry: Any, message: str) -> None:
    header = json.dumps({"w": entry}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(ModelFileError, match=message):
        SafetensorsFile(path)


@pytest.mark.parametrize("header", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_headers_that_are_no_table_are_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ModelFileError, match="Fetch it again"):
        SafetensorsFile(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    save_file({"a": torch.ones(3, 5), "b": torch.ones(4).bfloat16()}, path)
    return path.read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_truncated_file_is_refused(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "short.safetensors"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ModelFileError):
        SafetensorsFile(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_damage_is_refused_or_harmless(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    damaged = bytearray(whole)
    place = data.draw(st.integers(0, 160))
    damaged[place : place + 4] = data.draw(st.binary(min_size=4, max_size=4))
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damaged)
    try:
        file = SafetensorsFile(path)
        for name, entry in file.entries.items():
            assert len(file.raw(name)) == entry.size
    except ModelFileError:
        pass
