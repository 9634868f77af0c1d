"""Fixtures for the engine's tests."""

from pathlib import Path

import pytest

from tests.engine.tiny import write_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "model.gguf")
