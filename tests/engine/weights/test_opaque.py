"""Formats that a file may hold although only llama.cpp computes with them."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from ponant.engine.errors import ModelFileError
from ponant.engine.weights.gguf import GgufFile
from ponant.engine.weights.opaque import OPAQUE


@pytest.mark.parametrize("number", OPAQUE)
def test_sizes_are_those_of_the_gguf_package(number: int) -> None:
    kind = gguf.GGMLQuantizationType(number)
    form = OPAQUE[number]
    assert (form.name, form.values, form.size) == (kind.name, *gguf.GGML_QUANT_SIZES[kind])


def test_the_file_opens_and_its_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "q3.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    blocks = np.zeros((4, 110), np.uint8)
    writer.add_tensor("w", blocks, raw_dtype=gguf.GGMLQuantizationType.Q3_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    opened = GgufFile(path)
    assert opened.tensors["w"].shape == (4, 256)
    with pytest.raises(ModelFileError, match="Q3_K"):
        opened.dequantise("w")
