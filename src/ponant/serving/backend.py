"""Which backend runs a GGUF model on this machine, and why."""

import importlib.util
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from ponant.engine import Capabilities
from ponant.engine.kernels.library import available
from ponant.kit.errors import SetupError
from ponant.kit.machine import usable_instructions
from ponant.serving.measured import Speed

Backend = Literal["native", "llamacpp"]

_FAST_BF16 = ("AMX", "AVX512_BF16")
BACKENDS: tuple[Backend, ...] = ("native", "llamacpp")
_MODULES: dict[Backend, str] = {"native": "torch", "llamacpp": "xllamacpp"}
_EXTRAS: dict[Backend, str] = {"native": "engine", "llamacpp": "llamacpp"}

_EVERYTHING = Capabilities(
    grammar=True,
    logit_bias=True,
    logprobs=True,
    prompt_logprobs=True,
    penalties=True,
    min_tokens=True,
)
CAPABILITIES = {
    "echo": _EVERYTHING,
    "llamacpp": Capabilities(grammar=True, logit_bias=True, logprobs=True),
    "native": msgspec.structs.replace(_EVERYTHING, scoped_prefix_cache=True, drafts=True),
    "encoder": Capabilities(),
    "reranker": Capabilities(),
}
"""What a model of each backend will declare once it is loaded; the contract tests compare."""


class Choice(NamedTuple):
    """A backend and, in a sentence, why it is the one."""

    backend: Backend
    reason: str


def choose(setting: str = "auto", speeds: Sequence[Speed] = ()) -> Choice:
    """The backend for models that generate: the one that is set, else the fastest.

    Where nothing was measured on this machine, that is taken to be the native one, but for torch's
    operators on a processor without a bf16 unit, which llama.cpp outruns everywhere.

    Args:
        setting: ``auto``, ``native`` or ``llamacpp``.
        speeds: what `ponant doctor --bench` measured here, the fastest first.

    Raises:
        SetupError: what is needed is not installed; the message has the command that mends it.
    """
    if setting in BACKENDS:
        backend = BACKENDS[BACKENDS.index(setting)]
        if not installed(backend):
            raise SetupError(missing(backend))
        return Choice(backend, f"PONANT_ENGINE asks for {backend}.")
    for speed in speeds:
        for backend in BACKENDS:
            if backend == speed.backend and installed(backend):
                return Choice(backend, _fastest(speeds))
    return _likeliest()


def installed(backend: Backend) -> bool:
    """Whether what a backend needs is there; imports none of it."""
    if backend == "native" and available():
        return True
    return importlib.util.find_spec(_MODULES[backend]) is not None


def bf16_unit() -> str | None:
    """The processor's instruction set for bf16 products that oneDNN may use, or None."""
    usable = usable_instructions()
    return next((unit for unit in _FAST_BF16 if unit in usable), None)


def missing(backend: Backend) -> str:
    """What to install for a backend, in a sentence."""
    return (
        f"The {backend} engine needs {_MODULES[backend]}, which is not installed. "
        f"Run: pip install 'ponant[{_EXTRAS[backend]}]'"
    )


def _likeliest() -> Choice:
    if available():
        return Choice("native", "its kernels are compiled.")
    unit, has_torch = bf16_unit(), installed("native")
    if has_torch and unit is not None:
        return Choice("native", f"torch is installed and this processor has {unit}.")
    if installed("llamacpp"):
        why = "torch is not installed" if unit else "this processor has no bf16 unit (AMX, AVX512)"
        return Choice("llamacpp", f"the kernels are not compiled and {why}.")
    if has_torch:
        return Choice("native", "llama.cpp is not installed, so the slower native engine serves.")
    raise SetupError(missing("native" if unit else "llamacpp"))


def _fastest(speeds: Sequence[Speed]) -> str:
    told = "; ".join(
        f"{speed.backend} reads {speed.prefill:.0f} and writes {speed.decode:.0f} tokens/s"
        for speed in speeds
    )
    return f"`ponant doctor --bench` found it the fastest here: {told}."
