"""Looks into weights on disk: which architecture they are, and which backend can run them."""

import json
from dataclasses import dataclass
from pathlib import Path

from ponant.engine.errors import ModelFileError
from ponant.engine.models import FAMILIES
from ponant.engine.weights.folder import refuse_other_compression
from ponant.engine.weights.gguf import GgufFile
from ponant.hub.manifest import Kind
from ponant.kit.errors import SetupError

_GGUF_EMBEDDERS = frozenset({"bert", "jina-bert-v2", "nomic-bert", "nomic-bert-moe"})
_ENCODERS = frozenset({"bert", "camembert", "roberta", "xlm-roberta"})
_MISTRAL_CONFIG = "params.json"  # beside consolidated weights; it names no architecture


@dataclass(frozen=True, slots=True)
class Finding:
    """What weights are; ``name`` is what the file calls itself, where it does."""

    architecture: str
    kind: Kind
    backends: tuple[str, ...]
    name: str = ""


def inspect_gguf(path: Path) -> Finding:
    """Read a GGUF file's header.

    Raises:
        ModelFileError: it is damaged.
        SetupError: no backend runs its architecture.
    """
    metadata = GgufFile(path).metadata
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise ModelFileError(f"{path.name} does not say what architecture it is.")
    if architecture in _GGUF_EMBEDDERS:
        raise SetupError(
            f"{path.name} is a {architecture} embedder; Ponant takes those as safetensors."
        )
    native = ("native",) if architecture in FAMILIES else ()
    name = metadata.get("general.name", "")
    return Finding(
        architecture, "generate", (*native, "llamacpp"), name if isinstance(name, str) else ""
    )


def inspect_config(folder: Path, weights: str) -> Finding:
    """Read the configuration beside safetensors, which themselves need not be there yet.

    Args:
        folder: where the configuration is.
        weights: the weights' file, which tells the layout.

    Raises:
        SetupError: it cannot be read, or no backend runs its architecture, or its compression, as
            safetensors.
    """
    consolidated = weights.startswith("consolidated")
    path = folder / (_MISTRAL_CONFIG if consolidated else "config.json")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        architecture = "mistral" if consolidated else str(config["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise SetupError(f"{path.name} does not say what architecture the model is.") from e
    if architecture in FAMILIES:
        refuse_other_compression("This model", config)
        return Finding(architecture, "generate", ("native",))
    if architecture not in _ENCODERS:
        raise SetupError(
            f"Ponant does not run {architecture} from safetensors. Pull the same model as "
            "GGUF: llama.cpp runs it."
        )
    classes = config.get("architectures")
    scores = isinstance(classes, list) and any(
        str(name).endswith("ForSequenceClassification") for name in classes
    )
    return Finding(architecture, "rerank" if scores else "embed", ("numpy",))
