"""What llama.cpp is not given, and what it shows to the outside."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import psutil
import pytest

from ponant.engine import Event, FinishReason, Request, Sampling
from ponant.engine.backends.llamacpp import LlamaCppEngine
from ponant.engine.errors import ModelFileError, ModelTooLarge


def _open(path: Path, memory: int = 0) -> LlamaCppEngine:
    return LlamaCppEngine(path, context_length=256, threads=1, memory=memory)


def test_a_missing_file() -> None:
    with pytest.raises(ModelFileError, match="cannot be opened"):
        _open(Path("nowhere.gguf"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"GGUF\x03\x00\x00\x00\xff"])
def test_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="Fetch it again"):
        _open(path)


def test_an_architecture_that_nobody_knows(tmp_path: Path) -> None:
    path = tmp_path / "strange.gguf"
    writer = gguf.GGUFWriter(path, "never-heard-of")
    writer.add_tensor("token_embd.weight", np.zeros((8, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelFileError, match="never-heard-of"):
        _open(path)


@pytest.fixture(scope="module")
def weights(models_home: Path) -> Path:
    return models_home / "models" / "starter" / "model.gguf"


@pytest.fixture(scope="module")
def engine(weights: Path) -> Iterator[LlamaCppEngine]:
    made = _open(weights)
    yield made
    made.close()


@pytest.mark.model
def test_a_truncated_file(tmp_path: Path, weights: Path) -> None:
    path = tmp_path / "short.gguf"
    with weights.open("rb") as file:
        path.write_bytes(file.read(40_000_000))
    with pytest.raises(ModelFileError, match="ends before"):
        _open(path)


@pytest.mark.model
def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(weights: Path) -> None:
    with pytest.raises(ModelTooLarge, match=r"needs about 0\.\d GB .* 0\.1 GB may"):
        _open(weights, memory=100_000_000)


@pytest.mark.model
def test_it_listens_on_no_port_and_its_socket_is_private(weights: Path) -> None:
    process = psutil.Process(os.getpid())
    before = _ports(process)
    engine = _open(weights)
    assert _ports(process) == before
    sockets = [Path(it.laddr) for it in process.net_connections("unix") if it.laddr]
    [socket] = [it for it in sockets if it.name == "llama.sock"]
    assert socket.parent.stat().st_mode & 0o077 == 0
    engine.close()


def _ports(process: psutil.Process) -> set[int]:
    listening = (it for it in process.net_connections("inet") if it.status == psutil.CONN_LISTEN)
    return {it.laddr.port for it in listening}


@pytest.mark.model
def test_an_end_of_generation_token_ends_unasked(engine: LlamaCppEngine) -> None:
    end_of_turn = 106
    ended = threading.Event()
    events: list[Event] = []

    def take(event: Event) -> None:
        events.append(event)
        if event.finish is not None:
            ended.set()

    forced = Sampling(temperature=0.0, logit_bias={end_of_turn: 1000.0})
    engine.submit(Request(id="r", prompt=[2, 818], max_tokens=4, sampling=forced), take)
    assert ended.wait(30)
    assert events[-1].finish is FinishReason.STOP
    assert not any(event.tokens for event in events)


class _Broken:
    """A llama.cpp that raises instead of answering."""

    def handle_completions(self, *_: object) -> None:
        raise RuntimeError("out of slots")


@pytest.mark.model
def test_a_request_that_llama_cpp_raises_on_still_ends(weights: Path) -> None:
    engine = _open(weights)
    engine._server = _Broken()
    ended, events = threading.Event(), list[Event]()

    def take(event: Event) -> None:
        events.append(event)
        if event.finish is not None:
            ended.set()

    engine.submit(Request(id="a", prompt=[2, 10], max_tokens=4), take)
    assert ended.wait(20)
    assert events[-1].finish is FinishReason.ERROR
    assert "out of slots" in (events[-1].error or "")
    engine.close()
