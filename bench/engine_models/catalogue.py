"""Which models are measured, and where each engine's form of them lies; missing ones are made."""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.engine_peers.contender import CHECKOUT, HOME
from bench.engine_peers.environments import llama_environment, python

FOLDER: Final = HOME / "models"
STARTER: Final = CHECKOUT / ".models-cache" / "models" / "starter" / "model.gguf"
_TOKENIZERS: Final = ("openvino_tokenizer", "openvino_detokenizer")


@dataclass(frozen=True)
class Model:
    """A model under measurement.

    Attributes:
        name: what the tables call it.
        gguf: the file that Ponant and llama.cpp read.
        openvino: folders that OpenVINO reads, by weight form; empty where it is left out.
        vocabulary: ids to draw random prompts from lie below this.
        real: whether what it says means anything.
    """

    name: str
    gguf: Path
    openvino: dict[str, Path]
    vocabulary: int
    real: bool = False


def _exports(name: str) -> dict[str, Path]:
    return {form: FOLDER / f"{name}-ov-{form}" for form in ("int8", "int4")}


MODELS: Final = {
    model.name: model
    for model in (
        Model("starter", STARTER, _exports("starter"), 200_000, real=True),
        Model("llama-1b-q4_k_m", FOLDER / "llama-1b-q4_k_m.gguf", _exports("llama-1b"), 120_000),
        Model("llama-1b-q8_0", FOLDER / "llama-1b-q8_0.gguf", _exports("llama-1b"), 120_000),
        Model("mistral-7b-q4_k_m", FOLDER / "mistral-7b-q4_k_m.gguf", {}, 32_000),
        Model("mistral-24b-q4_k_m", FOLDER / "mistral-24b-q4_k_m.gguf", {}, 131_000),
    )
}
FORMS: Final = {
    name: Model(name, FOLDER / f"{name}.gguf", {}, 200_000, real=True)
    for name in (f"starter-{form}" for form in ("q4_0", "q4_k", "q5_0", "q5_k", "q6_k", "q8_0"))
}
"""The starter in each of GGUF's block formats."""


def make(model: Model) -> None:
    """Write whichever of a model's forms are missing."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if model in FORMS.values():
        _missing(model.gguf, lambda: _requantised(model.gguf))
        return
    _missing(model.gguf, lambda: _random(model.gguf))
    for form, folder in model.openvino.items():
        _missing(folder, functools.partial(_export, model, form, folder))


def starter_tokenizer() -> Path:
    """The tokenizer that `ponant setup` derived from the starter."""
    return next(STARTER.parent.glob("*.tokenizer.json"))


def _missing(path: Path, write: Callable[[], None]) -> None:
    if not path.exists():
        print(f"writing {path.name} …", flush=True)
        write()


def _random(path: Path) -> None:
    name, _, form = path.stem.rpartition("-")
    _module("bench.engine_models.llama", "gguf", name, form, str(STARTER), str(path))


def _requantised(path: Path) -> None:
    module = "bench.engine_models.requantise"
    arguments = [str(STARTER), path.stem.removeprefix("starter-"), str(path)]
    environment = {**os.environ, **llama_environment()}
    command = [str(python("llama")), "-m", module, *arguments]
    subprocess.run(command, check=True, cwd=CHECKOUT, env=environment, stderr=subprocess.DEVNULL)


def _export(model: Model, form: str, folder: Path) -> None:
    source = folder.parent / f"{folder.name.removesuffix(f'-ov-{form}')}-hf"
    if not source.exists():
        _hugging_face(model, source)
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    command = [str(python("openvino").parent / "optimum-cli"), "export", "openvino"]
    task = ["--task", "text-generation-with-past", "--weight-format", form]
    tokens = [] if model.real else ["--disable-convert-tokenizer"]
    environment = {**os.environ, "HOME": str(HOME / "home"), "HF_HUB_OFFLINE": "1"}
    subprocess.run(
        [*command, "--model", str(source), *task, *tokens, str(partial)],
        check=True,
        env=environment,
    )
    if not model.real:
        _lend_tokenizer(partial)
    partial.rename(folder)


def _hugging_face(model: Model, folder: Path) -> None:
    if model.real:
        paths = (STARTER, starter_tokenizer(), folder)
        _module("bench.engine_models.starter", *map(str, paths))
    else:
        # Both forms of the random model are exported from one folder: their speed is the same.
        file = FOLDER / f"{folder.name.removesuffix('-hf')}-q8_0.gguf"
        _missing(file, lambda: _random(file))
        _module("bench.engine_models.llama", "folder", file.stem[:-5], str(file), str(folder))


def _lend_tokenizer(folder: Path) -> None:
    """OpenVINO's pipeline wants a tokenizer even where it is only ever given ids."""
    make(MODELS["starter"])
    for name in _TOKENIZERS:
        for file in MODELS["starter"].openvino["int8"].glob(f"{name}.*"):
            shutil.copy(file, folder)


def _module(name: str, *arguments: str) -> None:
    path = f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'src'}"
    command = [sys.executable, "-m", name, *arguments]
    subprocess.run(command, check=True, cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": path})
