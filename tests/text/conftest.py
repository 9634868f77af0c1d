"""Tokenizers of the bundled models, loaded once, and llama.cpp's own as an independent judge."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ponant.text.tokenizer import Tokenizer, load_tokenizer
from tests.patience import PATIENCE

Tokenise = Callable[[str, bool], list[int]]


@pytest.fixture(scope="session")
def starter_path(models_home: Path) -> Path:
    return models_home / "models" / "starter" / "model.gguf"


@pytest.fixture(scope="session")
def text_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokenizers")


@pytest.fixture(scope="session")
def starter(starter_path: Path, text_cache: Path) -> Tokenizer:
    return load_tokenizer(starter_path, text_cache)


@pytest.fixture(scope="session")
def llamacpp_url(starter_path: Path) -> Iterator[str]:
    """llama.cpp serving the starter on loopback."""
    import xllamacpp  # noqa: PLC0415 - loads llama.cpp, which few tests need

    params = xllamacpp.CommonParams()
    params.model.path = str(starter_path)
    params.n_ctx, params.n_parallel, params.warmup = 4096, 1, False
    params.cpuparams.n_threads = 1  # two on busy cores wait for each other most of the time
    params.verbosity = 0
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


def post(url: str, body: dict[str, object]) -> dict[str, object]:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return json.loads(response.read())


@pytest.fixture(scope="session")
def llamacpp_tokenise(llamacpp_url: str) -> Tokenise:
    def tokenise(text: str, special: bool) -> list[int]:
        body = {"content": text, "parse_special": special, "add_special": False}
        return post(f"{llamacpp_url}/tokenize", body)["tokens"]

    return tokenise
