"""Installs the peers under ``.bench``, each in an environment of its own, once.

llama.cpp is built from the source that ``llama-cpp-python`` carries, for this machine's
instruction set. Debian's reference manual is the real text that perplexity is measured on.
"""

import os
import shutil
import subprocess
import tarfile
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.engine_peers.contender import CHECKOUT, HOME

_LLAMA: Final = "llama-cpp-python==0.3.36"
_LLAMA_SOURCE: Final = HOME / "src" / "llama_cpp_python-0.3.36"
_LLAMA_BUILD: Final = HOME / "llama-build"
_WHEEL: Final = "xllamacpp==2026.10.11549"
_TORCH: Final = "torch==2.13.0"  # exports models; measures nothing
_OPENVINO: Final = (
    "openvino-genai==2026.4.1.0",
    "optimum-intel==2.2.0",
    "nncf==3.4.0",
    "transformers==5.0.0",  # the newest that optimum-intel exports Gemma 3 with
)
_PLOT: Final = ("matplotlib==3.11.2",)
_TEXT: Final = "debian-reference-en"
# GCC 12 drops AMX's tile-configuration stores without these, and the build crashes.
_KEEP_STORES: Final = "-fno-tree-dse -fno-dse"
_BUILD_FLAGS: Final = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DBUILD_SHARED_LIBS=ON",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
    f"-DCMAKE_C_FLAGS={_KEEP_STORES}",
    f"-DCMAKE_CXX_FLAGS={_KEEP_STORES}",
)


def prepare() -> None:
    """Install what is missing; what is there is left alone."""
    HOME.mkdir(exist_ok=True)
    for name, install in _STEPS.items():
        stamp = HOME / f"{name}.installed"
        if not stamp.exists():
            print(f"installing {name} …", flush=True)
            install()
            stamp.touch()


def python(name: str) -> Path:
    """The interpreter of an environment."""
    return HOME / name / "bin" / "python"


def llama_environment() -> dict[str, str]:
    """Where the binding finds the library that was built here."""
    return {
        "LLAMA_CPP_LIB_PATH": str(_LLAMA_BUILD / "bin"),
        "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{_LLAMA_SOURCE}",
    }


def text_folder() -> Path:
    return HOME / "text" / "usr" / "share" / "debian-reference"


def _llama() -> None:
    _environment("llama", "numpy", "typing_extensions", "diskcache", "jinja2")
    _environment("llama-tools", "scikit-build-core", "cmake", "ninja")
    sources = HOME / "src"
    sources.mkdir(exist_ok=True)
    fetch = ("download", "--no-deps", "--no-binary", ":all:", "-d", str(sources), _LLAMA)
    _run(python("llama-tools"), "-m", "pip", *fetch)
    with tarfile.open(next(sources.glob("llama_cpp_python-*.tar.gz"))) as archive:
        archive.extractall(sources, filter="data")
    cmake = HOME / "llama-tools" / "bin" / "cmake"
    tree = _LLAMA_SOURCE / "vendor" / "llama.cpp"
    _run(cmake, "-S", str(tree), "-B", str(_LLAMA_BUILD), *_BUILD_FLAGS)
    jobs = str(os.cpu_count() or 1)
    _run(cmake, "--build", str(_LLAMA_BUILD), "-j", jobs, "--target", "llama", "llama-server")


def _wheel() -> None:
    _environment("xllamacpp", _WHEEL)


def _openvino() -> None:
    _environment("openvino", _TORCH, *_OPENVINO)
    # optimum-intel draws in a torchvision that need not fit this torch, and fails on it.
    _run(python("openvino"), "-m", "pip", "uninstall", "--quiet", "--yes", "torchvision")
    (HOME / "home").mkdir(exist_ok=True)
    opt_out = HOME / "openvino" / "bin" / "opt_in_out"
    _run(opt_out, "--opt_out", HOME=str(HOME / "home"))


def _plot() -> None:
    _environment("plot", *_PLOT)


def _text() -> None:
    """Unpack the manual; Debian's own client fetches it and checks its signature."""
    if shutil.which("apt-get") is None:
        raise SystemExit(f"Unpack Debian's {_TEXT} to {HOME / 'text'}, as there is no apt-get.")
    target = HOME / "text"
    target.mkdir(exist_ok=True)
    subprocess.run(["apt-get", "download", "-qq", _TEXT], cwd=target, check=True)
    _run(Path("/usr/bin/dpkg-deb"), "-x", str(next(target.glob("*.deb"))), str(target))


def _environment(name: str, *packages: str) -> None:
    venv.create(HOME / name, with_pip=True)
    index = os.environ.get("PONANT_TORCH_INDEX")
    for package in packages:
        if package == _TORCH and index:
            _install(name, "--index-url", index, package)
    _install(name, *packages)


def _install(name: str, *arguments: str) -> None:
    quiet = ("install", "--quiet", "--disable-pip-version-check")
    _run(python(name), "-m", "pip", *quiet, *arguments)


def _run(program: Path, *arguments: str, **environment: str) -> None:
    subprocess.run([program, *arguments], check=True, env={**os.environ, **environment})


_STEPS: Final[dict[str, Callable[[], None]]] = {
    "llama": _llama,
    "xllamacpp": _wheel,
    "openvino": _openvino,
    "plot": _plot,
    "text": _text,
}
