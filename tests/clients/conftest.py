"""The stock clients, pointed at a real server."""

from collections.abc import Iterator

import pytest
from mistralai.client import Mistral
from openai import OpenAI

from tests.server import Server


@pytest.fixture(scope="session")
def openai(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def mistral(server: Server) -> Iterator[Mistral]:
    with Mistral(server_url=server.url, api_key=server.key) as client:
        yield client
