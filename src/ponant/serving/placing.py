"""Which backend runs a model of this machine, what it takes there, and why no other does."""

from dataclasses import dataclass
from pathlib import Path

from ponant.engine.models import architecture_of, knows, open_checkpoint
from ponant.engine.needs import Needs, llamacpp_needs, native_needs
from ponant.hub import InstalledModel
from ponant.kit.errors import SetupError
from ponant.serving.backend import BACKENDS, Backend, choose, installed, missing
from ponant.serving.measured import Speed

_GB = 1e9


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs; ``detour`` says in a sentence why not where models usually run."""

    backend: Backend
    needs: Needs
    detour: str = ""


def place(
    model: InstalledModel,
    *,
    setting: str,
    context_length: int,
    room: int,
    speeds: tuple[Speed, ...] = (),
) -> Placement:
    """The backend for a model: the chosen one, or another that knows it and has room for it.

    Args:
        setting: ``auto``, ``native`` or ``llamacpp``; the latter two allow no detour.
        context_length: longest prompt and answer together.
        room: bytes that the model may take.
        speeds: what was measured on this machine.

    Raises:
        ModelFileError: its file cannot be read.
        SetupError: nothing that is installed runs it, or it fits nowhere; the message says why.
    """
    first = choose(setting, speeds).backend
    others = [backend for backend in BACKENDS if backend != first and setting == "auto"]
    refusals: list[str] = []
    for backend in (first, *others):
        refusal = _refusal(model, backend)
        if not refusal:
            needs = _needs(model.path, backend, context_length)
            if needs.total <= room:
                return Placement(backend, needs, " ".join([*refusals, _told(backend, refusals)]))
            refusal = (
                f"It needs about {needs.total / _GB:.1f} GB in {_name(backend)} and may take "
                f"{room / _GB:.1f} GB."
            )
        refusals.append(refusal)
    raise SetupError(" ".join([*refusals, *_advice(refusals)]))


def tell(needs: Needs) -> str:
    """What a model takes, in words."""
    weights, cache, working = (f"{value / _GB:.2f}" for value in needs)
    return (
        f"takes about {needs.total / _GB:.2f} GB of memory (weights {weights}, one full context "
        f"{cache}, working {working})"
    )


def _refusal(model: InstalledModel, backend: Backend) -> str:
    """Why a backend cannot run a model, or nothing."""
    if not installed(backend):
        return missing(backend)
    if backend == "llamacpp" and model.format != "gguf":
        return "llama.cpp runs GGUF files alone, and this model is of another format."
    if backend == "native" and not knows(model.path):
        name = architecture_of(open_checkpoint(model.path))
        return f"The native engine does not know the architecture {name}."
    return ""


def _needs(path: Path, backend: Backend, context_length: int) -> Needs:
    measure = native_needs if backend == "native" else llamacpp_needs
    return measure(path, context_length)


def _told(backend: Backend, refusals: list[str]) -> str:
    return f"So {_name(backend)} runs it." if refusals else ""


def _advice(refusals: list[str]) -> list[str]:
    tight = any("may take" in refusal for refusal in refusals)
    return ["Choose a smaller model or a shorter context (PONANT_CONTEXT)."] if tight else []


def _name(backend: Backend) -> str:
    return "llama.cpp" if backend == "llamacpp" else "the native engine"
