"""Compiles the kernels: ``python -m ponant.engine.kernels.build``.

Used by the package's build and by `make`. It needs a C++17 compiler and nothing of Python's;
sources named ``*.isa.cpp`` are compiled once for every instruction set, and the processor chooses
among them when they are loaded. Those named ``*.amx.cpp`` are left out where the compiler does not
know the matrix tiles of Intel AMX.
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
SOURCES: Final = _HERE / "cpu"
LIBRARY: Final = _HERE / "_cpu.so"
_OBJECTS: Final = _HERE / "build"
_FLAGS: Final = (
    *("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"),
    *("-ffp-contract=off", "-fno-math-errno"),  # a sum's bits must not depend on inlining
)
_AVX2: Final = "-mavx2 -mfma -mf16c -mbmi2"
_AVX512: Final = f"{_AVX2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni"
_X86_SETS: Final = {
    "portable": "",
    "avx2": _AVX2,
    "avx512": _AVX512,
    "avx512bf16": f"{_AVX512} -mavx512bf16 -mprefer-vector-width=512",
}
_TILES: Final = "-mamx-tile -mamx-int8"


class NoCompilerError(RuntimeError):
    """There is no C++ compiler; the engine does without."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """One run of the compiler."""

    source: Path
    target: Path
    flags: tuple[str, ...]


def build(library: Path = LIBRARY, *, emulated_tiles: bool = False) -> Path:
    """Compile what has changed and link the shared object.

    Args:
        emulated_tiles: put the matrix tiles into memory, so that any processor with AVX-512 runs
            what is written for them; slow, for tests.

    Raises:
        NoCompilerError: no compiler was found (``CXX``, then ``c++``, ``g++``, ``clang++``).
        subprocess.CalledProcessError: the compiler refused the sources.
    """
    compiler = _compiler()
    _OBJECTS.mkdir(exist_ok=True)
    units = list(_units(compiler, emulated_tiles=emulated_tiles))
    stale = [unit for unit in units if _is_stale(unit)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda unit: _compile(compiler, unit), stale))
    if stale or not library.exists():
        _link(compiler, [unit.target for unit in units], library)
    return library


def _compiler() -> list[str]:
    named = os.environ.get("CXX")
    if named:
        return shlex.split(named)
    for name in ("c++", "g++", "clang++"):
        if shutil.which(name):
            return [name]
    raise NoCompilerError("There is no C++ compiler: install g++ or clang++, or set CXX.")


def _units(compiler: list[str], *, emulated_tiles: bool) -> Iterator[_Unit]:
    x86 = platform.machine().lower() in {"x86_64", "amd64"}
    tiles = x86 and _knows_tiles(compiler)
    sets = _X86_SETS if x86 else {"portable": ""}
    common = (*(("-DPN_X86",) if x86 else ()), *(("-DPN_TILES",) if tiles else ()))
    for source in sorted(SOURCES.glob("*.cpp")):
        if source.name.endswith(".amx.cpp"):
            if tiles:
                yield _tiled(source, common, emulated=emulated_tiles)
            continue
        if not source.name.endswith(".isa.cpp"):
            yield _Unit(source, _OBJECTS / f"{source.stem}.o", common)
            continue
        for name, flags in sets.items():
            target = _OBJECTS / f"{source.name.removesuffix('.isa.cpp')}.{name}.o"
            level = list(_X86_SETS).index(name)
            defines = (f"-DPN_ISA={name}", f"-DPN_LEVEL={level}")
            # Hot loops throw nothing, and GCC 12 fails on some of them where they might.
            yield _Unit(source, target, (*common, *defines, "-fno-exceptions", *flags.split()))


def _tiled(source: Path, common: tuple[str, ...], *, emulated: bool) -> _Unit:
    level = ("-DPN_ISA=amx", "-DPN_LEVEL=3", "-fno-exceptions")
    flags = (*common, *level, *_X86_SETS["avx512bf16"].split(), *_TILES.split())
    if emulated:
        flags += ("-DPN_EMULATED_TILES",)
    return _Unit(source, _OBJECTS / f"{source.stem}{'.emulated' if emulated else ''}.o", flags)


def _knows_tiles(compiler: list[str]) -> bool:
    asked = [*compiler, *_TILES.split(), "-E", "-x", "c++", os.devnull]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _is_stale(unit: _Unit) -> bool:
    """Whether a source, or a header that it was built from, is newer than the object."""
    listed = unit.target.with_suffix(".d")
    if not unit.target.exists() or not listed.exists():
        return True
    built = unit.target.stat().st_mtime
    _, _, inputs = listed.read_text(encoding="utf-8").replace("\\\n", " ").partition(":")
    try:
        return any(Path(name).stat().st_mtime > built for name in (*inputs.split(), __file__))
    except FileNotFoundError:  # a header that is gone
        return True


def _compile(compiler: list[str], unit: _Unit) -> None:
    command = [*compiler, *_FLAGS, *unit.flags, "-MMD", "-c", str(unit.source)]
    command += ["-o", str(unit.target)]
    subprocess.run(command, check=True)


def _link(compiler: list[str], objects: list[Path], library: Path) -> None:
    fresh = library.with_suffix(".new")
    # A machine without a compiler may lack the compiler's libraries, too.
    static = ["-static-libstdc++", "-static-libgcc"] if sys.platform == "linux" else []
    command = [*compiler, "-shared", "-pthread", *static, *map(str, objects), "-o", str(fresh)]
    subprocess.run(command, check=True)
    fresh.replace(library)  # a process that has the old one mapped keeps it


def main() -> None:
    """Build where there is a compiler, and say so where there is none."""
    try:
        build()
    except NoCompilerError as e:
        sys.stderr.write(f"{e} The engine will run without kernels of its own.\n")


if __name__ == "__main__":
    main()
