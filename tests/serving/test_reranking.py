"""Cross-encoders through worker processes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, BertForSequenceClassification

from ponant.hub.inspection import inspect_config
from ponant.kit.errors import BadRequest, ContextTooLong
from ponant.serving import Models
from ponant.serving.port import TextModel
from ponant.store import Scope
from tests.serving.asking import chat
from tests.serving.conftest import models_in, opened_upstreams
from tests.serving.cross_encoder import write_cross_encoder

pytestmark = [pytest.mark.anyio, pytest.mark.model]

_QUERY = "When does the office close?"
_TEXTS = [
    "The office closes at five on Fridays.",
    "Soup of leeks and potatoes.",
    "It rains.",
    "Parking is behind the building, where bicycles may stand too.",
]


@pytest.fixture(scope="module")
async def models(
    tmp_path_factory: pytest.TempPathFactory, models_home: Path
) -> AsyncIterator[Models]:
    home = tmp_path_factory.mktemp("reranking")
    write_cross_encoder(home / "models", models_home / "models" / "embed-en")
    with opened_upstreams(home) as upstreams:
        async with models_in(home, upstreams) as opened:
            yield opened


@pytest.fixture
async def judge(models: Models, scope: Scope) -> TextModel:
    return await models.get("judge", scope)


async def test_scores_are_those_of_transformers_on_the_same_text(
    judge: TextModel, models: Models, tmp_path_factory: pytest.TempPathFactory, models_home: Path
) -> None:
    """Within what int8 weights leave: both tokenise the pair and number its token types."""
    vocabulary = models_home / "models" / "embed-en"
    folder = write_cross_encoder(tmp_path_factory.mktemp("same"), vocabulary)
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = [tokenizer(_QUERY, text, return_tensors="pt") for text in _TEXTS]
    with torch.no_grad():
        expected = [float(torch.sigmoid(model(**one).logits)[0, 0]) for one in encoded]
    found = await judge.rerank(_QUERY, _TEXTS)
    assert found.scores == pytest.approx(expected, abs=0.05)
    assert max(expected) - min(expected) > 0.1
    assert found.usage.prompt_tokens == sum(one["input_ids"].numel() for one in encoded)
    assert judge.card.reranking
    assert not judge.card.embedding


async def test_a_pair_that_is_too_long_is_refused_with_its_count(judge: TextModel) -> None:
    with pytest.raises(ContextTooLong, match=r"Document 2 has \d\d+ tokens .* judge reads 64\."):
        await judge.rerank(_QUERY, ["short", "long " * 80])
    with pytest.raises(BadRequest, match="no document"):
        await judge.rerank(_QUERY, [])


async def test_it_does_nothing_else(judge: TextModel, models: Models, scope: Scope) -> None:
    with pytest.raises(BadRequest, match="only reranks"):
        await chat(judge, "Hello")
    with pytest.raises(BadRequest, match="only reranks"):
        await judge.embed(["Hello"])
    assert await judge.tokenize("Hello") == [101, 7592, 102]
    with pytest.raises(BadRequest, match="does not rerank"):
        await (await models.get("echo", scope)).rerank(_QUERY, _TEXTS)


def test_a_pulled_cross_encoder_is_known_by_its_configuration(
    tmp_path: Path, models_home: Path
) -> None:
    vocabulary = models_home / "models" / "embed-en"
    folder = write_cross_encoder(tmp_path, vocabulary)
    assert inspect_config(folder, "model.safetensors").kind == "rerank"
    assert inspect_config(vocabulary, "model.safetensors").kind == "embed"
