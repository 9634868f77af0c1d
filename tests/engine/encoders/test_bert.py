"""The encoder on small random models: against transformers, alone and in batches, and bad input."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel

from ponant.engine.encoders import BertEncoder, load_encoder
from tests.engine.encoders.e5_writer import POSITIONS, VOCABULARY, small_e5
from tests.engine.encoders.reference import mean_pooled

_SIZES = {
    "vocab_size": 60,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "initializer_range": 0.2,
    "layer_norm_eps": 1e-5,
}
_SEQUENCES = [[0, 5, 9, 2], [0, 2], [0, *range(10, 24), 2]]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> BertEncoder:
    path = tmp_path_factory.mktemp("e5") / "small.bin"
    path.write_bytes(small_e5())
    return load_encoder(path, threads=2, exact=True)


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_a_checkpoint_gives_the_vectors_that_transformers_gives(
    tmp_path: Path, family: str
) -> None:
    torch.manual_seed(0)
    if family == "bert":
        model = BertModel(BertConfig(**_SIZES, max_position_embeddings=32))
    else:
        config = XLMRobertaConfig(**_SIZES, max_position_embeddings=34, type_vocab_size=1)
        model = XLMRobertaModel(config)
    model.save_pretrained(tmp_path)
    ours = load_encoder(tmp_path, threads=1, exact=True)
    assert ours.max_tokens == 32
    assert ours.encode(_SEQUENCES) == pytest.approx(mean_pooled(model, _SEQUENCES), abs=1e-5)


def test_a_checkpoint_may_pool_its_first_token_and_cap_its_length(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = BertModel(BertConfig(**_SIZES, max_position_embeddings=32)).eval()
    model.save_pretrained(tmp_path)
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 20}')
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    ours = load_encoder(tmp_path, threads=1, exact=True)
    with torch.no_grad():
        first = model(torch.tensor([_SEQUENCES[0]])).last_hidden_state[0, 0].numpy()
    assert ours.max_tokens == 20
    assert ours.encode(_SEQUENCES[:1])[0] == pytest.approx(first / np.linalg.norm(first), abs=1e-5)


_ids = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=POSITIONS)


@settings(deadline=None, max_examples=40)
@given(batch=st.lists(_ids, min_size=1, max_size=80))
def test_a_vector_does_not_depend_on_its_batch(
    encoder: BertEncoder, batch: list[list[int]]
) -> None:
    together = encoder.encode(batch)
    assert together.shape == (len(batch), encoder.dimension)
    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(len(batch)), abs=1e-5)
    last = len(batch) - 1
    for index in {0, last // 2, last}:
        assert together[index] == pytest.approx(encoder.encode([batch[index]])[0], abs=2e-5)


def test_no_sequences_give_no_vectors(encoder: BertEncoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dimension)


@pytest.mark.parametrize(
    ("sequence", "said"),
    [
        ([], "0 tokens"),
        ([1] * (POSITIONS + 1), f"1 to {POSITIONS}"),
        ([VOCABULARY], "outside the vocabulary"),
        ([-1], "outside the vocabulary"),
    ],
)
def test_a_sequence_that_does_not_fit_is_refused(
    encoder: BertEncoder, sequence: list[int], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        encoder.encode([[1, 2], sequence])


@settings(deadline=None, max_examples=150)
@given(st.integers(0, len(small_e5()) - 1))
def test_a_file_cut_short_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "cut.bin"
    path.write_bytes(small_e5()[:length])
    with pytest.raises(ValueError, match=r"cut\.bin"):
        load_encoder(path, threads=1, exact=True)


@settings(deadline=None, max_examples=150)
@given(st.integers(4, 700), st.integers(0, 255))
def test_a_damaged_header_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    data = bytearray(small_e5())
    data[position] = value
    path = tmp_path_factory.mktemp("damaged") / "damaged.bin"
    path.write_bytes(data)
    with suppress(ValueError):
        vectors = load_encoder(path, threads=1, exact=True).encode([[1, 2, 3]])
        assert vectors.shape[0] == 1


def test_what_is_no_embedder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no embedding model at"):
        load_encoder(tmp_path / "absent.bin", threads=1, exact=True)
    with pytest.raises(ValueError, match=r"config\.json cannot be read"):
        load_encoder(tmp_path, threads=1, exact=True)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ValueError, match="holds a llama model"):
        load_encoder(tmp_path, threads=1, exact=True)
    (tmp_path / "notes.bin").write_text("plain text")
    with pytest.raises(ValueError, match="no embedding model that Ponant can read"):
        load_encoder(tmp_path / "notes.bin", threads=1, exact=True)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    BertModel(BertConfig(**_SIZES)).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="safetensors cannot be read"):
        load_encoder(tmp_path, threads=1, exact=True)
    weights.write_bytes(whole)
    config = json.loads((tmp_path / "config.json").read_text())
    config["num_hidden_layers"] = 5
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="whole BERT encoder"):
        load_encoder(tmp_path, threads=1, exact=True)
