"""The embedders, with their real weights, through worker processes."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from ponant.engine.encoders import load_encoder
from ponant.hub.manifest import Manifest, write_manifest
from ponant.kit.errors import BadRequest, ContextTooLong, Unavailable
from ponant.serving import Models, Upstreams
from ponant.serving.port import TextModel
from ponant.text.tokenizer import load_tokenizer
from tests.serving.asking import chat
from tests.serving.conftest import models_in, opened_upstreams

pytestmark = [pytest.mark.anyio, pytest.mark.model]

_LONG = "a passage of some length about the harbour " * 40


@pytest.fixture(scope="module")
async def models(
    tmp_path_factory: pytest.TempPathFactory, models_home: Path
) -> AsyncIterator[Models]:
    home = tmp_path_factory.mktemp("embedding")
    (home / "models").symlink_to(models_home / "models")
    with opened_upstreams(home) as upstreams:
        async with models_in(home, upstreams) as opened:
            yield opened


@pytest.fixture
async def embedder(models: Models) -> TextModel:
    return await models.embedder()


async def test_embeds_by_meaning(embedder: TextModel) -> None:
    texts = ["Where can I park my bicycle?", "Wo kann ich mein Fahrrad abstellen?", "Soup of leeks"]
    found = await embedder.embed(texts, "query")
    assert found.vectors.shape == (3, 384)
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-3)
    likeness = found.vectors @ found.vectors.T
    assert likeness[0, 1] > likeness[0, 2] + 0.05
    assert found.usage.prompt_tokens > 10
    assert embedder.card.dimension == 384


async def test_batches_keep_the_order_of_texts(models: Models) -> None:
    embedder = await models.embedder("embed-en")
    texts = [f"number {number} " + "wave " * (number % 7 * 5) for number in range(40)]
    together = (await embedder.embed(texts)).vectors
    for place in (0, 6, 39):
        alone = (await embedder.embed([texts[place]])).vectors[0]
        assert alone @ together[place] > 0.999


async def test_an_embedder_does_not_chat(embedder: TextModel) -> None:
    with pytest.raises(BadRequest, match="only embeds"):
        await chat(embedder, "Hello")
    with pytest.raises(BadRequest, match="no text"):
        await embedder.embed([])


async def test_too_long_a_text_is_refused_with_its_count(embedder: TextModel) -> None:
    with pytest.raises(ContextTooLong, match=r"Text 2 has 6\d\d tokens, but embed reads 512\."):
        await embedder.embed(["short", "long " * 600])
    # What goes before a text counts, too.
    room = embedder.card.context_length - len(await embedder.tokenize("query: "))
    await embedder.embed(["a " * room], "query")
    with pytest.raises(ContextTooLong):
        await embedder.embed(["a " * (room + 1)], "query")


async def test_the_worker_reads_text_as_its_model_expects_it(
    embedder: TextModel, models_home: Path, tmp_path: Path
) -> None:
    """The prompt of each kind, the ids and the count are those of the model used directly."""
    file = models_home / "models" / "embed" / "e5-small-q4.bin"
    tokenizer, encoder = load_tokenizer(file, tmp_path), load_encoder(file, 1)
    text = "Der Hafen öffnet um 07:45 \N{SAILBOAT}."
    assert await embedder.tokenize(text) == tokenizer.encode_prompt(text)
    for kind in ("query", "passage"):
        ids = tokenizer.encode_prompt(f"{kind}: {text}")
        found = await embedder.embed([text], kind)
        assert found.usage.prompt_tokens == len(ids)
        assert float(found.vectors[0] @ encoder.encode([ids])[0]) > 0.9999


async def test_a_lone_surrogate_is_no_obstacle(embedder: TextModel) -> None:
    broken, replaced = (
        await embedder.embed(["sea \ud800", "sea \N{REPLACEMENT CHARACTER}"])
    ).vectors
    assert float(broken @ replaced) > 0.9999


async def test_a_query_does_not_wait_for_a_long_sync(embedder: TextModel) -> None:
    await embedder.embed(["ready"])
    sync = asyncio.create_task(embedder.embed([_LONG] * 20))
    await asyncio.sleep(0.1)
    await embedder.embed(["Where is the harbour?"], "query")
    assert not sync.done()
    assert len((await sync).vectors) == 20


async def test_leaving_ends_the_work(embedder: TextModel) -> None:
    started = time.monotonic()
    await embedder.embed([_LONG] * 4)
    four = time.monotonic() - started
    left = [asyncio.create_task(embedder.embed([_LONG] * 256)) for _ in range(2)]
    await asyncio.sleep(0.1)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    started = time.monotonic()
    await embedder.embed([_LONG] * 4)
    # Those that were left would have taken 128 times as long.
    assert time.monotonic() - started < 30 * four


async def test_who_asks_an_embedder_stays_small(
    tmp_path: Path, models_home: Path, upstreams: Upstreams
) -> None:
    """The tokenizer of the multilingual embedder, 250 MB, is in the worker alone."""
    (tmp_path / "models").symlink_to(models_home / "models")
    async with models_in(tmp_path, upstreams) as models:
        embedder = await models.embedder()
        before = psutil.Process().memory_full_info().uss
        await embedder.embed(["Where is the harbour?"] * 32)
        assert psutil.Process().memory_full_info().uss - before < 50_000_000


async def test_an_embedder_without_a_tokenizer_says_so(
    tmp_path: Path, upstreams: Upstreams
) -> None:
    folder = tmp_path / "models" / "mute"
    folder.mkdir(parents=True)
    write_manifest(folder, Manifest(id="mute", kind="embed", format="safetensors", file="."))
    async with models_in(tmp_path, upstreams) as models:
        embedder = await models.embedder("mute")
        with pytest.raises(Unavailable, match=r"mute cannot be used\. .*tokenizer\.json"):
            await embedder.embed(["a"])
        assert embedder.card.state == "failed"
