"""Writes small random models of published configurations in every layout."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tests.engine.models.published import Published

Weights = Mapping[str, Tensor]

_GGUF_ARCHITECTURES = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
_PERMUTED = {"llama", "mistral3"}


def make_model(published: Published, seed: int) -> PreTrainedModel:
    """A small model in float32; norms, biases and learnt constants are random too."""
    torch.manual_seed(seed)
    values = published.reduced()
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    model = AutoModelForCausalLM.from_config(
        config, attn_implementation="eager", dtype=torch.float32
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape) * 0.2)
    return model


def write_folder(model: PreTrainedModel, folder: Path) -> Path:
    """Hugging Face's layout, by transformers, in several files."""
    model.save_pretrained(folder, max_shard_size="500KB")
    return folder


def write_consolidated(model: PreTrainedModel, folder: Path) -> Path:
    """Mistral's own layout."""
    folder.mkdir()
    (folder / "params.json").write_text(json.dumps(_params(model.config)))
    save_file(
        {name: tensor.contiguous() for name, tensor in _consolidated(model).items()},
        folder / "consolidated.safetensors",
    )
    return folder


def write_gguf(
    model: PreTrainedModel, path: Path, architecture: str, kind: Kind = Kind.F32
) -> Path:
    """GGUF as llama.cpp's converter writes it, matrices in a format of choice."""
    writer = gguf.GGUFWriter(path, architecture)
    _write_settings(writer, model, architecture)
    for name, tensor in _gguf_tensors(model, architecture).items():
        values = tensor.numpy()
        plain = values.ndim == 1 or "ffn_gate_inp" in name
        quantised = Kind.F32 if plain else kind
        writer.add_tensor(name, gguf.quantize(values, quantised), raw_dtype=quantised)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def plain_weights(model: PreTrainedModel) -> dict[str, Tensor]:
    """A model's tensors by the names of published checkpoints: experts one by one."""
    found: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        tensor = tensor.detach()
        if name.endswith("experts.gate_up_proj"):
            for expert, both in enumerate(tensor):
                gate, up = both.chunk(2)
                found[name.replace("gate_up_proj", f"{expert}.gate_proj.weight")] = gate
                found[name.replace("gate_up_proj", f"{expert}.up_proj.weight")] = up
        elif name.endswith("experts.down_proj"):
            for expert, down in enumerate(tensor):
                found[name.replace("down_proj", f"{expert}.down_proj.weight")] = down
        else:
            found[name] = tensor
    if model.config.tie_word_embeddings:
        found.pop("lm_head.weight", None)
    return found


def interleave(weight: Tensor, heads: int) -> Tensor:
    """Rows of a query or key projection in the order that rotates neighbours."""
    halves = weight.view(heads, 2, -1, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape)


def _turned(name: str, tensor: Tensor, config: Any) -> Tensor:
    if ".q_proj." in name:
        return interleave(tensor, config.num_attention_heads)
    if ".k_proj." in name:
        return interleave(tensor, config.num_key_value_heads)
    return tensor


def _consolidated(model: PreTrainedModel) -> dict[str, Tensor]:
    names = {
        "model.embed_tokens": "tok_embeddings",
        "lm_head": "output",
        "model.": "",
        "self_attn.q_proj": "attention.wq",
        "self_attn.k_proj": "attention.wk",
        "self_attn.v_proj": "attention.wv",
        "self_attn.o_proj": "attention.wo",
        "input_layernorm": "attention_norm",
        "post_attention_layernorm": "ffn_norm",
        "mlp.": "feed_forward.",
        "gate_proj": "w1",
        "down_proj": "w2",
        "up_proj": "w3",
    }
    found = {}
    for name, tensor in plain_weights(model).items():
        turned = _turned(name, tensor, model.config)
        for theirs, ours in names.items():
            name = name.replace(theirs, ours)
        found[name] = turned
    return found


def _params(config: Any) -> dict[str, Any]:
    """A configuration as Mistral's params.json has it."""
    rope = config.rope_parameters
    params = {
        "dim": config.hidden_size,
        "n_layers": config.num_hidden_layers,
        "head_dim": getattr(config, "head_dim", None)
        or config.hidden_size // config.num_attention_heads,
        "hidden_dim": config.intermediate_size,
        "n_heads": config.num_attention_heads,
        "n_kv_heads": config.num_key_value_heads,
        "norm_eps": config.rms_norm_eps,
        "vocab_size": config.vocab_size,
        "rope_theta": rope["rope_theta"],
        "max_position_embeddings": config.max_position_embeddings,
        "tied_embeddings": config.tie_word_embeddings,
    }
    if config.model_type == "mixtral":
        params["moe"] = {
            "num_experts": config.num_local_experts,
            "num_experts_per_tok": config.num_experts_per_tok,
        }
    if config.model_type == "ministral":
        params["sliding_window"] = [None] + 3 * [config.sliding_window]
    if rope["rope_type"] == "yarn":
        original = rope["original_max_position_embeddings"]
        params["yarn"] = {
            "original_max_position_embeddings": original,
            "factor": rope["factor"],
            "beta": rope["beta_fast"],
            "alpha": rope["beta_slow"],
            "apply_scale": False,
        }
        params["llama_4_scaling"] = {
            "original_max_position_embeddings": original,
            "beta": rope["llama_4_scaling_beta"],
        }
    return params


def _gguf_tensors(model: PreTrainedModel, architecture: str) -> dict[str, Tensor]:
    config = model.config
    names = gguf.get_tensor_name_map(_GGUF_ARCHITECTURES[architecture], config.num_hidden_layers)
    found: dict[str, Tensor] = {}
    experts: dict[str, list[Tensor]] = {}
    for name, tensor in plain_weights(model).items():
        if ".act_fn." in name:
            continue
        if architecture == "gemma3" and "norm" in name:
            tensor = tensor + 1
        if architecture in _PERMUTED:
            tensor = _turned(name, tensor, config)
        if ".experts." in name:
            before, _, after = name.partition(".experts.")
            experts.setdefault(f"{before}.experts.{after.split('.', 1)[1]}", []).append(tensor)
            continue
        found[names.get_name(name, try_suffixes=(".weight", ".bias"))] = tensor
    for name, parts in experts.items():
        found[names.get_name(name, try_suffixes=(".weight",))] = torch.stack(parts)
    rope = config.rope_parameters
    if rope.get("rope_type") == "llama3":
        found["rope_freqs.weight"] = _llama3_factors(config)
    return found


def _llama3_factors(config: Any) -> Tensor:
    """What frequencies are divided by; llama.cpp's converter writes them as a tensor."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS  # noqa: PLC0415 - private

    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    plain = config.rope_parameters["rope_theta"] ** -(torch.arange(0, size, 2).double() / size)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    return (plain / scaled.double()).float()


def _write_settings(writer: gguf.GGUFWriter, model: PreTrainedModel, architecture: str) -> None:
    config = model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(size)
    if architecture == "gemma3":
        writer.add_sliding_window(config.sliding_window)
        writer.add_rope_freq_base(config.rope_parameters["full_attention"]["rope_theta"])
    else:
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    experts = getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
    if architecture == "qwen3moe":
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    if architecture == "mistral3":
        _write_yarn(writer, config.rope_parameters)
    if architecture == "apertus":
        _write_xielu(writer, plain_weights(model), config.num_hidden_layers)


def _write_yarn(writer: gguf.GGUFWriter, rope: Mapping[str, Any]) -> None:
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(rope["factor"])
    writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
    writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
    writer.add_rope_scaling_yarn_log_mul(rope["mscale_all_dim"])
    writer.add_attn_temperature_scale(rope["llama_4_scaling_beta"])


def _write_xielu(writer: gguf.GGUFWriter, weights: Weights, layers: int) -> None:
    def constants(name: str) -> list[float]:
        return [
            float(weights[f"model.layers.{layer}.mlp.act_fn.{name}"]) for layer in range(layers)
        ]

    writer.add_xielu_alpha_p(constants("alpha_p"))
    writer.add_xielu_alpha_n(constants("alpha_n"))
    writer.add_xielu_beta(constants("beta"))
    writer.add_xielu_eps(constants("eps"))
