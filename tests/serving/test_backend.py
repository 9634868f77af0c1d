"""Which backend is chosen, and why."""

import sys
from pathlib import Path

import pytest

from ponant.kit import machine as machines
from ponant.kit.errors import SetupError
from ponant.kit.machine import usable_instructions
from ponant.serving import backend as backends
from ponant.serving import choose
from ponant.serving.backend import bf16_unit
from ponant.serving.measured import Speed, recall, remember


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Machine":
    return Machine(monkeypatch, tmp_path)


class Machine:
    """A machine with chosen processor flags and packages."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = monkeypatch
        self._folder = folder
        monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
        monkeypatch.setattr("platform.system", lambda: "Linux")

    def has(self, flags: str, *packages: str, kernels: bool = False) -> None:
        self._patch.setattr(backends, "available", lambda: kernels)
        cpuinfo = self._folder / "cpuinfo"
        cpuinfo.write_text(f"processor : 0\nflags\t\t: fpu {flags}\n")
        self._patch.setattr(machines, "_CPU_INFO", cpuinfo)
        for package in ("torch", "xllamacpp"):
            # A module that is None in sys.modules counts as not installed.
            if package in packages:
                self._patch.setitem(sys.modules, package, sys)
            else:
                self._patch.setitem(sys.modules, package, None)

    def limited_to(self, instructions: str) -> None:
        self._patch.setenv("ONEDNN_MAX_CPU_ISA", instructions)


@pytest.mark.parametrize(("flag", "unit"), [("amx_bf16", "AMX"), ("avx512_bf16", "AVX512_BF16")])
def test_native_where_torch_and_bf16_are(machine: Machine, flag: str, unit: str) -> None:
    machine.has(f"avx2 {flag}", "torch", "xllamacpp")
    choice = choose()
    assert choice.backend == "native"
    assert unit in choice.reason


def test_llamacpp_without_torch(machine: Machine) -> None:
    machine.has("avx512_bf16", "xllamacpp")
    assert choose().backend == "llamacpp"
    assert "torch is not installed" in choose().reason


def test_llamacpp_without_bf16(machine: Machine) -> None:
    machine.has("avx2", "torch", "xllamacpp")
    assert choose().backend == "llamacpp"


@pytest.mark.parametrize("limit", ["AVX2", "avx2", "AVX512_CORE"])
def test_a_limit_on_instruction_sets_counts(machine: Machine, limit: str) -> None:
    machine.has("amx_bf16 avx512_bf16", "torch", "xllamacpp")
    machine.limited_to(limit)
    assert choose().backend == "llamacpp"


@pytest.mark.parametrize(
    ("limit", "unit"),
    [
        ("AVX512_CORE_BF16", "AVX512_BF16"),
        ("AVX512_CORE_FP16", "AVX512_BF16"),
        ("AVX10_1_512", "AVX512_BF16"),
        ("AVX10_1_512_AMX", "AMX"),
        ("AVX512_CORE_AMX", "AMX"),
        ("ALL", "AMX"),
    ],
)
def test_a_limit_that_leaves_a_bf16_unit_names_it(machine: Machine, limit: str, unit: str) -> None:
    machine.has("avx2 avx512f avx512_bf16 amx_bf16", "torch", "xllamacpp")
    machine.limited_to(limit)
    assert bf16_unit() == unit
    assert unit in usable_instructions()
    assert choose().backend == "native"


def test_neither_is_a_sentence_with_a_command(machine: Machine) -> None:
    machine.has("avx2")
    with pytest.raises(SetupError, match=r"pip install 'ponant\[llamacpp\]'"):
        choose()


def test_a_setting_is_obeyed_or_refused(machine: Machine) -> None:
    machine.has("avx2", "torch")
    assert choose("native").backend == "native"
    with pytest.raises(SetupError, match=r"pip install 'ponant\[llamacpp\]'"):
        choose("llamacpp")


def test_compiled_kernels_go_first(machine: Machine) -> None:
    machine.has("avx2", "xllamacpp", kernels=True)
    assert choose().backend == "native"
    assert "kernels" in choose().reason


LLAMA = Speed(backend="llamacpp", prefill=900, decode=60, seconds=1.6)
NATIVE = Speed(backend="native", prefill=800, decode=30, seconds=2.8)


def test_what_was_measured_here_decides(machine: Machine) -> None:
    machine.has("avx512_bf16", "torch", "xllamacpp", kernels=True)
    choice = choose(speeds=(LLAMA, NATIVE))
    assert choice.backend == "llamacpp"
    assert "llamacpp reads 900 and writes 60" in choice.reason
    assert choose("native", (LLAMA, NATIVE)).backend == "native"


def test_the_fastest_that_is_gone_is_passed_over(machine: Machine) -> None:
    machine.has("avx512_bf16", "torch", kernels=True)
    assert choose(speeds=(LLAMA, NATIVE)).backend == "native"


def test_speeds_hold_for_the_machine_and_threads_they_were_measured_with(
    machine: Machine, tmp_path: Path
) -> None:
    machine.has("avx512_bf16")
    assert recall(tmp_path, 2) == ()
    remember(tmp_path, (NATIVE, LLAMA), 2)
    assert recall(tmp_path, 2) == (LLAMA, NATIVE)
    assert recall(tmp_path, 4) == ()
    machine.has("avx2")
    assert recall(tmp_path, 2) == ()
    (tmp_path / "models" / "engines.json").write_text("{")
    machine.has("avx512_bf16")
    assert recall(tmp_path, 2) == ()
