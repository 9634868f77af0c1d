"""Pathway under measurement: its document store over a folder, served by its own REST server.

It runs in an environment with Pathway and imports nothing of Ponant. Options: ``commit_ms`` (None
leaves Pathway's default) and ``cache``, which keeps embeddings in memory by text.
"""

import asyncio
import json
import sys
from typing import Any

import numpy as np
import pathway as pw
from pathway.stdlib.indexing import BruteForceKnnFactory, HybridIndexFactory, TantivyBM25Factory
from pathway.xpacks.llm.document_store import DocumentStore
from pathway.xpacks.llm.servers import DocumentStoreServer

from bench.live_peers.embedding import DIMENSION, embed
from bench.live_peers.splitting import paragraphs

_BATCH = 32
_LONGEST_QUESTION = 100  # characters
_SMOOTHING = 10  # of the fusion, as in Ponant, so that the lists are put together alike


def main(options: dict[str, Any]) -> None:
    commit = options.get("commit_ms")
    given = {} if commit is None else {"autocommit_duration_ms": commit}
    documents = pw.io.fs.read(
        options["folder"], format="binary", mode="streaming", with_metadata=True, **given
    )
    url = options["embedder"]
    embedder = _cached(url) if options.get("cache") else _batched(url)

    @pw.udf(deterministic=True)
    def splitter(text: str) -> list[tuple[str, dict[str, Any]]]:
        return [(part, {}) for part in paragraphs(text)]

    vectors = BruteForceKnnFactory(dimensions=DIMENSION, embedder=embedder, reserved_space=1000)
    store = DocumentStore(
        documents,
        retriever_factory=HybridIndexFactory([vectors, TantivyBM25Factory()], k=_SMOOTHING),
        splitter=splitter,
    )
    DocumentStoreServer("127.0.0.1", options["port"], store).run(with_cache=False)


def _batched(url: str) -> pw.UDF:
    @pw.udf(deterministic=True, max_batch_size=_BATCH)
    def embedder(texts: list[str]) -> list[np.ndarray]:
        return list(embed(url, texts, _kind(texts)))

    return embedder


def _cached(url: str) -> pw.UDF:
    """Pathway's cache takes one text at a time, so that many are asked for at once."""

    @pw.udf(
        deterministic=True,
        executor=pw.udfs.async_executor(capacity=_BATCH),
        cache_strategy=pw.udfs.InMemoryCache(),
    )
    async def embedder(text: str) -> np.ndarray:
        rows = await asyncio.to_thread(embed, url, [text], _kind([text]))
        return rows[0]

    return embedder


def _kind(texts: list[str]) -> str:
    """Pathway asks for both in one way; the bench's questions are shorter than any passage."""
    return "query" if all(len(text) < _LONGEST_QUESTION for text in texts) else "passage"


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
