"""Which backend runs a model of this machine, what it takes there, and why no other does."""

from dataclasses import dataclass

from ponant.engine.errors import ModelKindUnknown
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
        needs = _needs(model, backend, context_length)
        if isinstance(needs, Needs) and needs.total <= room:
            return Placement(backend, needs, " ".join([*refusals, _told(backend, refusals)]))
        refusals.append(needs if isinstance(needs, str) else _too_large(needs, backend, room))
    raise SetupError(" ".join([*refusals, *_advice(refusals)]))


def tell(needs: Needs) -> str:
    """What a model takes, in words."""
    weights, cache, working = (f"{value / _GB:.2f}" for value in needs)
    return (
        f"takes about {needs.total / _GB:.2f} GB of memory (weights {weights}, one full context "
        f"{cache}, working {working})"
    )


def _needs(model: InstalledModel, backend: Backend, context_length: int) -> Needs | str:
    """What a model takes in a backend, or why the backend cannot run it."""
    if not installed(backend):
        return missing(backend)
    if backend == "llamacpp":
        if model.format != "gguf":
            return "llama.cpp runs GGUF files alone, and this model is of another format."
        return llamacpp_needs(model.path, context_length)
    try:
        return native_needs(model.path, context_length)
    except ModelKindUnknown as e:
        return e.reason


def _too_large(needs: Needs, backend: Backend, room: int) -> str:
    return (
        f"It needs about {needs.total / _GB:.1f} GB in {_name(backend)} and may take "
        f"{room / _GB:.1f} GB."
    )


def _told(backend: Backend, refusals: list[str]) -> str:
    return f"So {_name(backend)} runs it." if refusals else ""


def _advice(refusals: list[str]) -> list[str]:
    tight = any("may take" in refusal for refusal in refusals)
    return ["Choose a smaller model or a shorter context (PONANT_CONTEXT)."] if tight else []


def _name(backend: Backend) -> str:
    return "llama.cpp" if backend == "llamacpp" else "the native engine"
