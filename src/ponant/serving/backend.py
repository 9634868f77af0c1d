"""Which backend runs a GGUF model on this machine, and why."""

import importlib.util
from typing import Literal, NamedTuple

import msgspec

from ponant.engine import Capabilities
from ponant.kit.errors import SetupError
from ponant.kit.machine import usable_instructions

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
    "native": msgspec.structs.replace(_EVERYTHING, scoped_prefix_cache=True),
    "encoder": Capabilities(),
}
"""What a model of each backend will declare once it is loaded; the contract tests compare."""


class Choice(NamedTuple):
    """A backend and, in a sentence, why it is the one."""

    backend: Backend
    reason: str


def choose(setting: str = "auto") -> Choice:
    """The backend for GGUF models: the faster of those installed, or the one that is set.

    Args:
        setting: ``auto``, ``native`` or ``llamacpp``.

    Raises:
        SetupError: what is needed is not installed; the message has the command that mends it.
    """
    match setting:
        case "native" | "llamacpp":
            if not installed(setting):
                raise SetupError(_missing(setting))
            return Choice(setting, f"PONANT_ENGINE asks for {setting}.")
        case _:
            return _fastest()


def installed(backend: Backend) -> bool:
    """Whether the packages that a backend needs are there; imports none of them."""
    return importlib.util.find_spec(_MODULES[backend]) is not None


def bf16_unit() -> str | None:
    """The processor's instruction set for bf16 products that oneDNN may use, or None."""
    usable = usable_instructions()
    return next((unit for unit in _FAST_BF16 if unit in usable), None)


def _fastest() -> Choice:
    unit = bf16_unit()
    if installed("native") and unit is not None:
        return Choice("native", f"torch is installed and this processor has {unit}.")
    if installed("llamacpp"):
        why = "torch is not installed" if unit else "this processor has no bf16 unit (AMX, AVX512)"
        return Choice("llamacpp", f"llama.cpp is the faster one here, for {why}.")
    if installed("native"):
        return Choice("native", "llama.cpp is not installed, so the slower native engine serves.")
    raise SetupError(_missing("native" if unit else "llamacpp"))


def _missing(backend: Backend) -> str:
    return (
        f"The {backend} engine needs {_MODULES[backend]}, which is not installed. "
        f"Run: pip install 'ponant[{_EXTRAS[backend]}]'"
    )
