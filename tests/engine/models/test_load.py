"""Opening models: every layout, configurations in older words, and what must be refused."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ponant.engine.errors import ModelFileError, ModelKindUnknown
from ponant.engine.models import load_spec
from ponant.engine.models.spec import DecoderSpec
from ponant.engine.torch_decoder import TorchDecoder
from tests.engine.forward import forward, pages_for
from tests.engine.models.checkpoints import (
    make_model,
    plain_weights,
    write_consolidated,
    write_folder,
    write_gguf,
)
from tests.engine.models.published import (
    LLAMA_1B,
    MINISTRAL_3_3B,
    MINISTRAL_8B,
    MISTRAL_7B,
    MISTRAL_SMALL,
)

TOKENS = list(range(0, 300, 11))


def write(folder: Path, weights: dict[str, torch.Tensor], config: dict[str, Any]) -> Path:
    """A folder in Hugging Face's layout, word by word."""
    folder.mkdir(exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in weights.items()},
        folder / "model.safetensors",
    )
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def logits(spec: DecoderSpec) -> np.ndarray:
    decoder = TorchDecoder(spec, form="fp32", context_length=64, pages=pages_for(len(TOKENS)))
    return forward(decoder, TOKENS)


def test_configurations_of_older_releases(tmp_path: Path) -> None:
    """Published files say ``rope_theta`` and ``rope_scaling``, where new ones nest both."""
    model = make_model(LLAMA_1B, 1)
    new = write_folder(model, tmp_path / "new")
    config = json.loads((new / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope
    old = write(tmp_path / "old", plain_weights(model), config)
    np.testing.assert_array_equal(logits(load_spec(old)), logits(load_spec(new)))


@pytest.mark.parametrize("prefix", ["language_model.model.", "model.language_model."])
def test_the_text_part_of_a_model_that_sees(tmp_path: Path, prefix: str) -> None:
    model = make_model(MISTRAL_SMALL, 2)
    plain = write_folder(model, tmp_path / "plain")
    text = json.loads((plain / "config.json").read_text())
    weights = {
        name.replace("model.", prefix, 1): tensor for name, tensor in plain_weights(model).items()
    }
    if prefix.startswith("language_model."):
        weights["language_model.lm_head.weight"] = weights.pop("lm_head.weight")
    weights["vision_tower.patch_conv.weight"] = torch.zeros(4, 3, 2, 2)
    whole = {"model_type": "mistral3", "text_config": text, "vision_config": {"hidden_size": 8}}
    spec = load_spec(write(tmp_path / "whole", weights, whole))
    np.testing.assert_array_equal(logits(spec), logits(load_spec(plain)))


def test_fp8_equals_its_expanded_values(tmp_path: Path) -> None:
    model = make_model(MISTRAL_7B, 3)
    plain = write_folder(model, tmp_path / "plain")
    config = json.loads((plain / "config.json").read_text())
    compressed: dict[str, torch.Tensor] = {}
    expanded: dict[str, torch.Tensor] = {}
    for name, tensor in plain_weights(model).items():
        compressed[name] = expanded[name] = tensor
        if "_proj" in name:
            scale = tensor.abs().amax() / 448
            rounded = (tensor / scale).to(torch.float8_e4m3fn)
            compressed[name] = rounded
            compressed[f"{name}_scale_inv"] = scale
            expanded[name] = rounded.float() * scale
    config["quantization_config"] = {"quant_method": "fp8"}
    eight = load_spec(write(tmp_path / "eight", compressed, config))
    assert eight.layers[0].attention.query.matrix.format == "F8_E4M3"
    right = load_spec(write(tmp_path / "right", expanded, config))
    np.testing.assert_array_equal(logits(eight), logits(right))


def test_fp8_of_the_consolidated_layout_equals_its_expanded_values(tmp_path: Path) -> None:
    folder = write_consolidated(make_model(MINISTRAL_3_3B, 3), tmp_path / "model")
    compressed: dict[str, torch.Tensor] = {}
    expanded: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(folder / "consolidated.safetensors").items():
        compressed[name] = expanded[name] = tensor
        if tensor.ndim == 2 and (".attention.w" in name or ".feed_forward." in name):
            scale = tensor.abs().amax() / 448
            rounded = (tensor / scale).to(torch.float8_e4m3fn)
            compressed[name] = rounded
            compressed[f"{name.removesuffix('weight')}qscale_weight"] = scale
            compressed[f"{name.removesuffix('weight')}qscale_act"] = torch.tensor(1.0)
            expanded[name] = rounded.float() * scale
    save_file(expanded, folder / "consolidated.safetensors")
    right = logits(load_spec(folder))
    save_file(compressed, folder / "consolidated.safetensors")
    params = json.loads((folder / "params.json").read_text())
    params["quantization"] = {"qformat_weight": "fp8_e4m3", "qscheme_act": "TENSOR"}
    (folder / "params.json").write_text(json.dumps(params))
    eight = load_spec(folder)
    assert eight.layers[0].attention.query.matrix.format == "F8_E4M3"
    np.testing.assert_array_equal(logits(eight), right)


def test_windows_of_the_consolidated_layout_repeat(tmp_path: Path) -> None:
    folder = write_consolidated(make_model(MINISTRAL_8B, 4), tmp_path / "model")
    windows = [layer.attention.window for layer in load_spec(folder).layers]
    assert windows == [None, 33, 33, 33]


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_tensor("w", np.zeros(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelKindUnknown, match="architecture mamba"):
        load_spec(path)
    folder = write(tmp_path / "folder", {"w": torch.zeros(1)}, {"model_type": "bloom"})
    with pytest.raises(ModelKindUnknown, match="architecture bloom"):
        load_spec(folder)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = make_model(LLAMA_1B, 5)
    path = write_folder(model, tmp_path_factory.mktemp("llama"))
    config = json.loads((path / "config.json").read_text())
    return write(path / "one", plain_weights(model), config)


def changed(llama: Path, folder: Path, **settings: Any) -> Path:
    config = json.loads((llama / "config.json").read_text())
    return write(folder, load_file(llama / "model.safetensors"), {**config, **settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 100}, "is right for its settings"),
        ({"num_hidden_layers": 5}, "lacks the tensor model.layers.2"),
        ({"num_hidden_layers": 10**12}, "num_hidden_layers is"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"num_attention_heads": True}, "num_attention_heads is True"),
        ({"num_key_value_heads": 3}, "8 heads of 16 values on 3"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps is small"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps is nan"),
        ({"hidden_act": "relu"}, "uses relu"),
        ({"tie_word_embeddings": False}, "lacks the tensor lm_head.weight"),
        ({"attention_bias": True}, "lacks the tensor model.layers.0.self_attn.q_proj.bias"),
        ({"rope_parameters": {"rope_type": "longrope"}}, "in the way longrope"),
        ({"rope_parameters": {"rope_type": "linear"}}, "with factor None"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": -1}}, "rope_theta -1"),
    ],
)
def test_settings_that_cannot_be(
    llama: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        load_spec(changed(llama, tmp_path / "model", **settings))


def test_a_gguf_that_lacks_a_tensor(tmp_path: Path) -> None:
    model = make_model(LLAMA_1B, 6)
    path = write_gguf(model, tmp_path / "model.gguf", "llama")
    data = path.read_bytes().replace(b"blk.0.ffn_up.weight", b"blk.0.ffn_ab.weight")
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=r"lacks the tensor blk.0.ffn_up.weight"):
        load_spec(path)
