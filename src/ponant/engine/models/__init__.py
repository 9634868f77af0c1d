"""Model families: each reads its checkpoints into a `DecoderSpec`. Imports no torch."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

from ponant.engine.errors import ModelKindUnknown
from ponant.engine.models.spec import DecoderSpec
from ponant.engine.weights.checkpoint import Checkpoint, GgufCheckpoint
from ponant.engine.weights.folder import FolderCheckpoint, layout_of

FAMILIES: Final[Mapping[str, str]] = {
    "apertus": "apertus:read",
    "gemma3": "gemma:read",
    "gemma3_text": "gemma:read",
    "llama": "llama:read_llama",
    "ministral": "llama:read_llama",
    "ministral3": "llama:read_llama",
    "mistral": "llama:read_llama",
    "mistral3": "llama:read_llama",
    "mixtral": "llama:read_mixtral",
    "qwen2": "llama:read_qwen2",
    "qwen3": "llama:read_qwen3",
    "qwen3_moe": "llama:read_qwen3",
    "qwen3moe": "llama:read_qwen3",
}
"""Which function reads each architecture, by the name in GGUF or in Hugging Face's layout."""


def load_spec(path: Path) -> DecoderSpec:
    """Describe the model at a path; its matrices stay in the file until they are asked for.

    Args:
        path: a GGUF file, a folder in Hugging Face's layout (config.json and safetensors), or one
            in Mistral's (params.json and consolidated safetensors).

    Raises:
        ModelFileError: it is damaged.
        ModelKindUnknown: the native engine does not know its architecture, a variant of it, or a
            format of its tensors; the message names which.
    """
    checkpoint = open_checkpoint(path)
    architecture = architecture_of(checkpoint)
    place = FAMILIES.get(architecture)
    if place is None:
        raise ModelKindUnknown(
            f"The native engine does not know the architecture {architecture} of {path}; it knows "
            f"{', '.join(sorted(FAMILIES))}. Set PONANT_ENGINE=llamacpp to run it with llama.cpp.",
            f"The native engine does not know the architecture {architecture}.",
        )
    module, name = place.split(":")
    read: Callable[[Checkpoint, str], DecoderSpec] = getattr(
        import_module(f"{__name__}.{module}"), name
    )
    return read(checkpoint, architecture)


def open_checkpoint(path: Path) -> Checkpoint:
    """The container at a path; see `load_spec`."""
    if path.is_dir():
        return FolderCheckpoint(path, layout_of(path))
    return GgufCheckpoint(path)


def architecture_of(checkpoint: Checkpoint) -> str:
    """The name of the model's family; Mistral's own layout names none, since it is Mistral's."""
    match checkpoint.layout:
        case "gguf":
            return str(checkpoint.settings.get("general.architecture"))
        case "huggingface":
            return str(checkpoint.settings.get("model_type"))
    return str(checkpoint.settings.get("model_type") or "mistral").replace("transformer", "mistral")


__all__ = ["FAMILIES", "architecture_of", "load_spec", "open_checkpoint"]
