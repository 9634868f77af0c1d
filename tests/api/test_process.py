"""What the API's own process holds: models and the parsing of documents are elsewhere."""

import psutil
import pytest

from tests.server import Server

pytestmark = pytest.mark.model

_ELSEWHERE = ("torch", "xllamacpp", "kreuzberg", "transformers", "safetensors")


def test_models_and_parsers_are_in_other_processes(server: Server) -> None:
    mapped = {part for file in _process(server).memory_maps() for part in file.path.split("/")}
    assert "numpy" in mapped
    assert mapped.isdisjoint(_ELSEWHERE)


def test_it_stays_small_when_it_embeds_and_searches(server: Server) -> None:
    """The tokenizer of the embedder alone would take 250 MB."""
    with server.client() as client:
        body = {"model": "embed", "input": ["Where is the harbour?"] * 8}
        assert client.post("/v1/embeddings", json=body).status_code == 200
    assert _process(server).memory_full_info().uss < 350_000_000


def _process(server: Server) -> psutil.Process:
    process = psutil.Process(server.process.pid)
    assert "serve" in process.cmdline()
    return process
