"""Pulling from a hub over HTTP, and from this machine's disk."""

import hashlib
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from ponant.engine.encoders import load_encoder
from ponant.engine.errors import ModelFileError
from ponant.hub import Catalogue
from ponant.hub.pull import pull_model
from ponant.kit.errors import (
    BadRequest,
    NotFound,
    PonantError,
    SetupError,
    StorageFull,
    UpstreamFailed,
)
from tests.fakes.hub import FakeHub

_ROWS_OF_25_MB = 100_000  # the client writes, and so resumes, in steps of 10 MB


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with FakeHub().running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def _gguf(folder: Path, architecture: str = "llama", rows: int = 64) -> bytes:
    path = folder / "made.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("Breeze 1B")
    writer.add_tensor("token_embd.weight", np.ones((rows, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    content = path.read_bytes()
    path.unlink()
    return content


def _embedder(folder: Path) -> dict[str, bytes]:
    torch.manual_seed(0)
    sizes = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 64}
    BertModel(BertConfig(**sizes, num_attention_heads=4)).save_pretrained(folder / "bert")
    return {path.name: path.read_bytes() for path in (folder / "bert").iterdir()}


def test_a_gguf_arrives_whole_and_is_listed(hub: FakeHub, tmp_path: Path) -> None:
    content = _gguf(tmp_path)
    hub.repositories["acme/breeze"] = {
        "README.md": b"# Breeze",
        "breeze-Q8_0.gguf": content + b"\0" * 9,
        "breeze-Q4_K_M.gguf": content,
        "convert.py": b"import os",
        "pytorch_model.bin": b"pickle",
    }
    hub.tags["acme/breeze"] = ["license:apache-2.0"]
    said: list[str] = []
    seen: list[tuple[int, int]] = []
    model = pull_model(
        tmp_path,
        "acme/breeze",
        say=said.append,
        report=lambda what, done, total: seen.append((done, total)),
    )
    assert Catalogue(tmp_path).get("breeze") == model
    assert model.path.read_bytes() == content
    assert model.sha256 == hashlib.sha256(content).hexdigest()
    assert (model.architecture, model.backends) == ("llama", ("native", "llamacpp"))
    assert (model.name, model.licence) == ("Breeze 1B", "apache-2.0")
    assert {path.name for path in model.path.parent.iterdir()} == {
        "README.md",
        "breeze-Q4_K_M.gguf",
        "model.json",
    }
    assert said == [
        "Taking breeze-Q4_K_M.gguf; there are also breeze-Q8_0.gguf (choose with --file)."
    ]
    total = len(content) + len(b"# Breeze")
    assert seen[-1] == (total, total)


def test_a_gguf_of_a_native_family_is_marked_so(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories["acme/gem"] = {"gem.gguf": _gguf(tmp_path, "gemma3")}
    assert pull_model(tmp_path, "acme/gem").backends == ("native", "llamacpp")


def test_another_quantisation_is_taken_where_it_is_asked_for(hub: FakeHub, tmp_path: Path) -> None:
    content = _gguf(tmp_path)
    hub.repositories["acme/breeze"] = {"b-Q4_K_M.gguf": b"no", "b-Q8_0.gguf": content}
    assert pull_model(tmp_path, "acme/breeze", file="q8_0").path.name == "b-Q8_0.gguf"


def test_a_download_that_broke_off_goes_on_where_it_stopped(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = _gguf(tmp_path, rows=_ROWS_OF_25_MB)
    hub.repositories["acme/breeze"] = {"b.gguf": content}
    hub.cut["b.gguf"] = len(content) // 2
    assert pull_model(tmp_path, "acme/breeze").path.read_bytes() == content
    (asked,) = hub.ranges["b.gguf"]
    assert 0 < int(asked.removeprefix("bytes=").removesuffix("-")) <= len(content) // 2
    assert hub.sent < 1.6 * len(content)


def test_an_interrupted_pull_goes_on_where_it_stopped(hub: FakeHub, tmp_path: Path) -> None:
    content = _gguf(tmp_path, rows=_ROWS_OF_25_MB)
    hub.repositories["acme/breeze"] = {"b.gguf": content}
    with pytest.raises(KeyboardInterrupt):
        pull_model(tmp_path, "acme/breeze", report=_interrupt_after(len(content) // 2))
    assert Catalogue(tmp_path).models() == []
    assert pull_model(tmp_path, "acme/breeze").path.read_bytes() == content
    (asked,) = hub.ranges["b.gguf"]
    assert int(asked.removeprefix("bytes=").removesuffix("-")) > len(content) // 3
    assert not list((tmp_path / "models").glob(".staging*"))


def _interrupt_after(size: int) -> Callable[[str, int, int], None]:
    def report(what: str, done: int, total: int) -> None:
        if done >= size:
            raise KeyboardInterrupt

    return report


def test_what_arrives_with_another_checksum_is_deleted(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories["acme/breeze"] = {"b.gguf": _gguf(tmp_path)}
    hub.tampered.add("b.gguf")
    with pytest.raises(SetupError, match="another checksum"):
        pull_model(tmp_path, "acme/breeze")
    assert not list((tmp_path / "models").rglob("b.gguf"))
    hub.tampered.clear()
    assert pull_model(tmp_path, "acme/breeze").path.is_file()


def test_a_second_pull_of_the_same_weights_fetches_nothing(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories["acme/breeze"] = {"b.gguf": _gguf(tmp_path, rows=8192)}
    first = pull_model(tmp_path, "acme/breeze")
    sent = hub.sent
    said: list[str] = []
    assert pull_model(tmp_path, "acme/breeze", say=said.append) == first
    assert said == ["acme/breeze is here already."]
    assert hub.sent - sent < 10_000


def test_an_embedder_comes_with_its_configuration_and_runs(hub: FakeHub, tmp_path: Path) -> None:
    files = _embedder(tmp_path)
    hub.repositories["acme/meaning"] = {
        **files,
        "tokenizer.json": b"{}",
        "1_Pooling/config.json": b'{"pooling_mode_cls_token": true}',
        "onnx/model.onnx": b"no",
        "modeling_breeze.py": b"no",
    }
    model = pull_model(tmp_path, "acme/meaning", name="meaning")
    assert (model.id, model.kind, model.backends) == ("meaning", "embed", ("numpy",))
    assert load_encoder(model.path, threads=1).encode([[1, 2]]).shape == (1, 32)
    there = {p.relative_to(model.path).as_posix() for p in model.path.rglob("*") if p.is_file()}
    expected = {"1_Pooling/config.json", "config.json", "model.json", "model.safetensors"}
    assert there == {*expected, "tokenizer.json"}


@pytest.mark.parametrize(
    ("files", "error", "said"),
    [
        ({"pytorch_model.bin": b"x", "config.json": b"{}"}, SetupError, "can run code"),
        ({"README.md": b"x"}, SetupError, "no GGUF or safetensors"),
        ({"b.gguf": b"not a model at all"}, ModelFileError, "no GGUF file"),
        (
            {"model.safetensors": b"x" * 99, "config.json": b'{"model_type": "bloom"}'},
            SetupError,
            "does not run bloom from safetensors",
        ),
        (
            {"model.safetensors": b"x" * 99, "config.json": b'{"model_type": "llama"}'},
            ModelFileError,
            "model.safetensors",
        ),
        ({"consolidated.safetensors": b"x" * 99}, SetupError, "params.json does not say"),
        ({"model.safetensors": b"x" * 99}, SetupError, "what architecture"),
    ],
)
def test_what_cannot_be_used_is_refused_and_not_listed(
    hub: FakeHub, tmp_path: Path, files: dict[str, bytes], error: type[PonantError], said: str
) -> None:
    hub.repositories["acme/odd"] = files
    with pytest.raises(error, match=said):
        pull_model(tmp_path, "acme/odd")
    assert Catalogue(tmp_path).models() == []


@pytest.mark.parametrize(
    "config",
    [
        b'{"model_type": "bloom"}',
        b'{"model_type": "llama", "quantization_config": {"quant_method": "gptq"}}',
    ],
)
def test_unrunnable_weights_are_refused_before_they_travel(
    hub: FakeHub, tmp_path: Path, config: bytes
) -> None:
    hub.repositories["acme/odd"] = {"model.safetensors": b"x" * 10**6, "config.json": config}
    with pytest.raises(SetupError, match="GGUF"):
        pull_model(tmp_path, "acme/odd")
    assert hub.sent < 10_000


def test_a_model_larger_than_the_disk_is_refused_before_it_travels(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories["acme/breeze"] = {"b.gguf": _gguf(tmp_path, rows=8192)}
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10**6))
    with pytest.raises(StorageFull, match="acme/breeze needs"):
        pull_model(tmp_path, "acme/breeze")
    assert hub.sent < 10_000


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        ("acme/absent", NotFound, "no model acme/absent"),
        ("not a model", SetupError, "owner/name"),
        ("./absent.gguf", NotFound, "nothing at"),
    ],
)
def test_what_is_not_there_is_said(
    hub: FakeHub, tmp_path: Path, source: str, error: type[PonantError], said: str
) -> None:
    with pytest.raises(error, match=said):
        pull_model(tmp_path, source)


def test_a_hub_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UpstreamFailed, match=r"127\.0\.0\.1:9 stopped answering"):
        pull_model(tmp_path, "acme/breeze")


def test_a_file_of_this_machine_is_shared_not_copied(tmp_path: Path) -> None:
    content = _gguf(tmp_path)
    source = tmp_path / "mine.gguf"
    source.write_bytes(content)
    (tmp_path / "home").mkdir()
    model = pull_model(tmp_path / "home", str(source))
    assert (model.id, model.sha256) == ("mine", hashlib.sha256(content).hexdigest())
    assert model.path.stat().st_ino == source.stat().st_ino
    source.unlink()
    assert Catalogue(tmp_path / "home").get("mine").path.read_bytes() == content


def test_a_folder_of_this_machine_is_taken_without_its_code(tmp_path: Path) -> None:
    _embedder(tmp_path)
    (tmp_path / "bert" / "evil.py").write_text("raise SystemExit")
    model = pull_model(tmp_path / "home", str(tmp_path / "bert"), name="mine/bert")
    assert not (model.path / "evil.py").exists()
    assert Catalogue(tmp_path / "home").get("bert").id == "mine/bert"


def test_a_damaged_file_of_this_machine_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "mine.gguf"
    source.write_bytes(_gguf(tmp_path)[:-100])
    with pytest.raises(ModelFileError, match=r"mine\.gguf"):
        pull_model(tmp_path / "home", str(source))


@pytest.mark.parametrize("name", ["../up", "a b", ".hidden", "", "naïve"])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    source = tmp_path / "mine.gguf"
    source.write_bytes(_gguf(tmp_path))
    if name == "":
        assert pull_model(tmp_path / "home", str(source), name=name).id == "mine"
        return
    with pytest.raises(BadRequest, match="cannot be a model's name"):
        pull_model(tmp_path / "home", str(source), name=name)
