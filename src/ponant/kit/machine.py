"""What this machine is: processor, memory, graphics cards, disk."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

# Linux and macOS names of the instruction sets that choose between backends.
_NAMES = {
    "amx_bf16": "AMX",
    "asimd": "NEON",
    "avx2": "AVX2",
    "avx512_bf16": "AVX512_BF16",
    "avx512_vnni": "AVX512_VNNI",
    "avx512f": "AVX512",
    "avx512vnni": "AVX512_VNNI",
    "bf16": "BF16",
    "feat_bf16": "BF16",
    "feat_i8mm": "I8MM",
    "i8mm": "I8MM",
    "neon": "NEON",
    "sve": "SVE",
}
_X86_LEVELS = ("AVX2", "AVX512", "AVX512_VNNI", "AVX512_BF16", "AMX")
# oneDNN's own names for how much of the processor it may use, as a count of the levels above.
_ONEDNN_LEVELS = {
    "SSE41": 0,
    "AVX": 0,
    "AVX2": 1,
    "AVX2_VNNI": 1,
    "AVX2_VNNI_2": 1,
    "AVX512_CORE": 2,
    "AVX512_CORE_VNNI": 3,
    "AVX512_CORE_BF16": 4,
    "AVX512_CORE_FP16": 4,
    "AVX10_1_512": 4,
    "AVX512_CORE_AMX": 5,
    "AVX512_CORE_AMX_FP16": 5,
    "AVX10_1_512_AMX": 5,
    "AVX10_1_512_AMX_FP16": 5,
}
_CPU_INFO = Path("/proc/cpuinfo")
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_COMMAND_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Machine:
    """What matters for running models; sizes in bytes.

    Attributes:
        cores: those that this process may use.
        instructions: names such as ``AVX2``, ``AVX512_BF16``, ``AMX`` or ``NEON``, less those that
            ``ONEDNN_MAX_CPU_ISA`` rules out.
    """

    system: str
    architecture: str
    processor: str
    cores: int
    instructions: tuple[str, ...]
    memory: int
    memory_free: int
    gpus: tuple[str, ...]


def this_machine() -> Machine:
    """Look at the machine this process runs on."""
    memory = psutil.virtual_memory()
    limit = _memory_limit()
    return Machine(
        system={"Darwin": "macOS"}.get(platform.system(), platform.system()),
        architecture=platform.machine(),
        processor=_processor(),
        cores=_cores(),
        instructions=usable_instructions(),
        memory=min(memory.total, limit),
        memory_free=min(memory.available, limit),
        gpus=_gpus(),
    )


def _cores() -> int:
    if platform.system() == "Linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_limit() -> int:
    try:
        return int(_CGROUP_LIMIT.read_text())
    except (OSError, ValueError):  # no control group, or "max"
        return sys.maxsize


def _cpuinfo(field: str) -> str:
    try:
        text = _CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = re.search(rf"^{field}\s*: (.*)$", text, re.MULTILINE | re.IGNORECASE)
    return match[1] if match else ""


def _processor() -> str:
    if platform.system() == "Darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string")
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _instructions() -> tuple[str, ...]:
    if platform.system() == "Darwin":
        return known_instructions(_mac_features())
    return known_instructions((_cpuinfo("flags") or _cpuinfo("features")).split())


def _mac_features() -> list[str]:
    intel = _output("sysctl", "-n", "machdep.cpu.features", "machdep.cpu.leaf7_features")
    arm = re.findall(r"hw\.optional\.(?:arm\.)?(\w+): 1", _output("sysctl", "hw.optional"))
    return [*intel.split(), *arm]


def usable_instructions() -> tuple[str, ...]:
    """The processor's instruction sets, less those that ``ONEDNN_MAX_CPU_ISA`` rules out."""
    return _allowed(_instructions(), os.environ.get("ONEDNN_MAX_CPU_ISA", ""))


def known_instructions(flags: Iterable[str]) -> tuple[str, ...]:
    """Our names for the processor's flags, those we know alone, in a fixed order."""
    names = {_NAMES[flag.lower()] for flag in flags if flag.lower() in _NAMES}
    return tuple(sorted(names, key=lambda name: (name not in _X86_LEVELS, _rank(name), name)))


def _rank(name: str) -> int:
    return _X86_LEVELS.index(name) if name in _X86_LEVELS else 0


def _allowed(instructions: tuple[str, ...], onednn_limit: str) -> tuple[str, ...]:
    count = _ONEDNN_LEVELS.get(onednn_limit.upper())
    if count is None:
        return instructions
    return tuple(name for name in instructions if name not in _X86_LEVELS[count:])


def _gpus() -> tuple[str, ...]:
    if shutil.which("nvidia-smi"):
        listed = _output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
        return tuple(line.strip() for line in listed.splitlines() if line.strip())
    return tuple(f"NVIDIA device {path.name[6:]}" for path in Path("/dev").glob("nvidia[0-9]*"))


def _output(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
