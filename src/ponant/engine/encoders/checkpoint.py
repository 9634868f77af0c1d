"""Reads a BERT, RoBERTa or XLM-R encoder from a folder of safetensors and JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ponant.engine.encoders.weights import (
    BertWeights,
    Layer,
    Norm,
    Pooling,
    Scorer,
    float_matrix,
)
from ponant.engine.errors import ModelFileError
from ponant.engine.models.spec import Floats, Linear

_ROBERTA = frozenset({"camembert", "roberta", "xlm-roberta"})
_ANCHOR = "embeddings.word_embeddings.weight"


def read_checkpoint(folder: Path, file: str = "model.safetensors") -> BertWeights:
    """Read an encoder and, where sentence-transformers' files lie beside it, how it pools.

    Raises:
        ModelFileError: a file is missing or damaged, or the architecture is another one.
    """
    config = _json(folder / "config.json")
    _refuse_other_architectures(folder, config)
    try:
        tensors = load_file(folder / file)
    except (OSError, SafetensorError, TypeError) as e:
        raise ModelFileError(f"{folder / file} cannot be read: {e}. Fetch it again.") from e
    try:
        return _Checkpoint(config, tensors).weights(_longest(folder), _pooling(folder))
    except (KeyError, IndexError, TypeError, ZeroDivisionError) as e:
        raise ModelFileError(f"{folder} does not hold a whole BERT encoder: {e} is missing.") from e


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as e:
        raise ModelFileError(f"{path} cannot be read: {e}. Fetch it again.") from e


def _refuse_other_architectures(folder: Path, config: Mapping[str, Any]) -> None:
    family = config.get("model_type")
    if family != "bert" and family not in _ROBERTA:
        raise ModelFileError(
            f"{folder} holds a {family} model; Ponant embeds with BERT, RoBERTa and XLM-R."
        )
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise ModelFileError(f"{folder} uses relative positions, which Ponant does not know.")
    if config.get("hidden_act", "gelu") != "gelu":
        raise ModelFileError(f"{folder} uses {config['hidden_act']}; Ponant knows gelu alone.")


def _longest(folder: Path) -> int | None:
    path = folder / "sentence_bert_config.json"
    if not path.is_file():
        return None
    length = _json(path).get("max_seq_length")
    return length if isinstance(length, int) and length > 0 else None


def _pooling(folder: Path) -> Pooling:
    path = folder / "1_Pooling" / "config.json"
    modes = _json(path) if path.is_file() else {"pooling_mode_mean_tokens": True}
    if modes.get("pooling_mode_mean_tokens"):
        return "mean"
    if modes.get("pooling_mode_cls_token"):
        return "cls"
    raise ModelFileError(f"{path} asks for a way of pooling that Ponant does not know.")


class _Checkpoint:
    """The tensors under the names that transformers gives them."""

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
        self._config = config
        self._tensors = tensors
        anchors = [name for name in tensors if name.endswith(_ANCHOR)]
        if not anchors:
            raise KeyError(_ANCHOR)
        self._prefix = anchors[0].removesuffix(_ANCHOR)
        self._heads = int(config["num_attention_heads"])

    def weights(self, longest: int | None, pooling: Pooling) -> BertWeights:
        words = self._floats(_ANCHOR)
        types = self._floats("embeddings.token_type_embeddings.weight")
        positions = self._positions()[:longest]
        if (
            words.ndim != 2
            or words.shape[1] % self._heads
            or positions.shape[1:] != words.shape[1:]
        ):
            raise ModelFileError("The embedding tables of this model do not fit its configuration.")
        return BertWeights(
            heads=self._heads,
            epsilon=float(self._config.get("layer_norm_eps", 1e-12)),
            words=float_matrix(words),
            positions=positions,
            types=types,
            embedding_norm=self._norm("embeddings.LayerNorm"),
            layers=tuple(map(self._layer, range(int(self._config["num_hidden_layers"])))),
            pooling=pooling,
            scorer=self._scorer(),
        )

    def _scorer(self) -> Scorer | None:
        """The head of a cross-encoder: BERT's pooler and classifier, or RoBERTa's classifier."""
        architectures = self._config.get("architectures") or [""]
        if not str(architectures[0]).endswith("ForSequenceClassification"):
            return None
        own = self._config["model_type"] in _ROBERTA
        first, last = ("classifier.dense", "classifier.out_proj") if own else (None, "classifier")
        output = self._top(last)
        if output.matrix.outputs != 1:
            raise ModelFileError(
                f"This model sorts into {output.matrix.outputs} classes; Ponant reranks with "
                "models that give one score."
            )
        return Scorer(self._linear("pooler.dense") if first is None else self._top(first), output)

    def _top(self, name: str) -> Linear:
        """A map outside the encoder, whose name has no prefix."""
        weight, bias = (
            np.ascontiguousarray(self._tensors[f"{name}.{part}"], np.float32)
            for part in ("weight", "bias")
        )
        return Linear(float_matrix(weight), bias)

    def _positions(self) -> Floats:
        table = self._floats("embeddings.position_embeddings.weight")
        if self._config["model_type"] not in _ROBERTA:
            return table
        # fairseq numbers positions from the padding id + 1
        return table[int(self._config.get("pad_token_id", 1)) + 1 :]

    def _floats(self, name: str) -> Floats:
        tensor = self._tensors[self._prefix + name]
        values: Floats = np.ascontiguousarray(tensor, dtype=np.float32)
        return values

    def _linear(self, name: str) -> Linear:
        return Linear(float_matrix(self._floats(f"{name}.weight")), self._floats(f"{name}.bias"))

    def _norm(self, name: str) -> Norm:
        return Norm(self._floats(f"{name}.weight"), self._floats(f"{name}.bias"))

    def _layer(self, number: int) -> Layer:
        name = f"encoder.layer.{number}"
        query, key, value = (
            self._linear(f"{name}.attention.self.{part}") for part in ("query", "key", "value")
        )
        return Layer(
            query=query,
            key=key,
            value=value,
            output=self._linear(f"{name}.attention.output.dense"),
            attention_norm=self._norm(f"{name}.attention.output.LayerNorm"),
            up=self._linear(f"{name}.intermediate.dense"),
            down=self._linear(f"{name}.output.dense"),
            output_norm=self._norm(f"{name}.output.LayerNorm"),
        )
