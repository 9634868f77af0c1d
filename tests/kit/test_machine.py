"""What is read off the machine."""

import os

import pytest

from ponant.kit.machine import known_instructions, this_machine

_ZEN = ("fpu", "sse2", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "sha_ni")


def test_flags_of_each_system_get_one_name() -> None:
    names = ("AVX2", "AVX512", "AVX512_VNNI", "AVX512_BF16")
    assert known_instructions(_ZEN) == names
    assert known_instructions((*_ZEN, "amx_tile", "amx_bf16")) == (*names, "AMX")
    assert known_instructions(("AVX1.0", "AVX2", "AVX512F")) == ("AVX2", "AVX512")
    assert known_instructions(("neon", "FEAT_BF16", "FEAT_I8MM")) == ("BF16", "I8MM", "NEON")
    assert known_instructions(()) == ()


@pytest.mark.parametrize(
    ("limit", "left"),
    [("AVX2", {"AVX2"}), ("avx512_core", {"AVX2", "AVX512"}), ("SSE41", set())],
)
def test_what_onednn_may_not_use_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, limit: str, left: set[str]
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    x86 = {name for name in this_machine().instructions if name.startswith(("AVX", "AMX"))}
    assert x86 <= left


def test_this_machine_has_what_every_machine_has() -> None:
    machine = this_machine()
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert 0 < machine.memory_free <= machine.memory
    assert machine.system
    assert machine.processor
