"""Which backend runs a GGUF model on this machine, and why."""

import importlib.util
import os
import platform
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from ponant.engine import Capabilities
from ponant.kit.errors import SetupError

Backend = Literal["native", "llamacpp"]

_CPU_FLAGS = Path("/proc/cpuinfo")
_FAST_BF16 = ("amx_bf16", "avx512_bf16")
# Values of ONEDNN_MAX_CPU_ISA that leave bf16 units unused.
_WITHOUT_BF16 = frozenset(
    {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}
)
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
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if limit in _WITHOUT_BF16:
        return None
    flags = _cpu_flags()
    found = [flag for flag in _FAST_BF16 if flag in flags]
    if limit == "AVX512_CORE_BF16":
        found = [flag for flag in found if not flag.startswith("amx")]
    return found[0] if found else None


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


def _cpu_flags() -> frozenset[str]:
    if platform.machine() not in {"x86_64", "AMD64"}:
        return frozenset()
    try:
        lines = _CPU_FLAGS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())
