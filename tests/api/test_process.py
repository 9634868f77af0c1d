"""What the API's own process holds: models and the parsing of documents are elsewhere."""

import psutil
import pytest

from tests.server import Server

pytestmark = pytest.mark.model

_MOST = 350_000_000  # bytes
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
    assert _process(server).memory_full_info().uss < _MOST


def test_it_gives_back_what_long_texts_took(server: Server) -> None:
    """They are too long for the model; to find that took 300 MB, which stayed."""
    text = "hello " * 600_000
    with server.client() as client:
        for address, field in (("conversations", "inputs"), ("completions", "prompt")):
            body = {"model": "echo", field: text, "stream": False}
            assert client.post(f"/v1/{address}", json=body).status_code == 400
    assert _process(server).memory_full_info().uss < _MOST


def _process(server: Server) -> psutil.Process:
    process = psutil.Process(server.process.pid)
    assert "serve" in process.cmdline()
    return process
