"""Cross-encoders on small random models, against transformers."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from ponant.engine.encoders import load_encoder, load_reranker

_SIZES = {
    "vocab_size": 60,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "initializer_range": 0.2,
    "num_labels": 1,
}
_PAIRS = [
    ([0, 5, 9, 2], [7, 30, 31, 2]),
    ([0, 2], [8, 2]),
    ([0, 5, 9, 2], list(range(10, 30))),
]


def _saved(family: str, folder: Path, labels: int = 1) -> PreTrainedModel:
    torch.manual_seed(1)
    sizes = _SIZES | {"num_labels": labels}
    if family == "bert":
        config = BertConfig(**sizes, max_position_embeddings=32)
        model: PreTrainedModel = BertForSequenceClassification(config)
    else:
        model = XLMRobertaForSequenceClassification(
            XLMRobertaConfig(**sizes, max_position_embeddings=34, type_vocab_size=1)
        )
    model.save_pretrained(folder)
    return model.eval()


def _expected(model: PreTrainedModel, pair: tuple[Sequence[int], Sequence[int]]) -> float:
    first, second = pair
    types = [0] * len(first) + [model.config.type_vocab_size - 1] * len(second)
    with torch.no_grad():
        logits = model(
            torch.tensor([[*first, *second]]), token_type_ids=torch.tensor([types])
        ).logits
    return float(torch.sigmoid(logits[0, 0]))


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_scores_are_those_of_transformers(tmp_path: Path, family: str) -> None:
    model = _saved(family, tmp_path)
    scores = load_reranker(tmp_path, threads=2, exact=True).score(_PAIRS)
    assert scores.tolist() == pytest.approx([_expected(model, p) for p in _PAIRS], abs=1e-5)
    assert scores.max() - scores.min() > 0.01


def test_a_pair_may_be_no_longer_than_the_model_reads(tmp_path: Path) -> None:
    _saved("bert", tmp_path)
    reranker = load_reranker(tmp_path, threads=1, exact=True)
    assert reranker.max_tokens == 32
    assert reranker.score([]).shape == (0,)
    with pytest.raises(ValueError, match="33 tokens"):
        reranker.score([([1] * 16, [2] * 17)])


def test_what_does_not_rerank_is_refused(tmp_path: Path) -> None:
    _saved("bert", tmp_path / "sorter", labels=3)
    with pytest.raises(ValueError, match="sorts into 3 classes"):
        load_reranker(tmp_path / "sorter", threads=1, exact=True)
    embedder = BertModel(BertConfig(**_SIZES, max_position_embeddings=32))
    embedder.save_pretrained(tmp_path / "embedder")
    with pytest.raises(ValueError, match="no cross-encoder"):
        load_reranker(tmp_path / "embedder", threads=1, exact=True)
    assert load_encoder(tmp_path / "embedder", threads=1, exact=True).dimension == 64
