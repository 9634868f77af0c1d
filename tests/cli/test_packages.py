"""Which packages setup wants, and that pip is never led to a CUDA build without a GPU."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ponant.cli.packages import LLAMACPP, TORCH, Package, install_package, wanted_packages
from ponant.engine import kernels
from ponant.kit import Settings
from ponant.kit.errors import SetupError
from ponant.kit.machine import Machine
from tests.fakes.package_index import FakePackageIndex

_BARE = Machine(
    system="Linux",
    architecture="x86_64",
    processor="any",
    cores=2,
    instructions=("AVX2", "AMX"),
    memory=8 << 30,
    memory_free=4 << 30,
    gpus=(),
)


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a virtual environment that packages may go into."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / "bin" / "python"


@pytest.fixture
def into_other_python(other_python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(other_python))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePackageIndex:
    """What a public index offers: torch built for CUDA."""
    index = FakePackageIndex(tmp_path / "public")
    index.serve(monkeypatch)
    index.add("nvidia-cuda-runtime", {"nvidia/cuda.txt": b"large"})
    index.add("torch", {"torch/cuda.txt": b""}, version="2.13.0", needs="nvidia-cuda-runtime")
    return index


def _installed(python: Path, project: str) -> str:
    command = [python, "-m", "pip", "show", project]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.partition("Version: ")[2].partition("\n")[0]


@pytest.mark.parametrize(
    ("engine", "limit", "wanted"),
    [
        ("auto", "AVX2", (LLAMACPP,)),
        ("llamacpp", "", (LLAMACPP,)),
        ("native", "AVX2", (TORCH, LLAMACPP)),
    ],
)
def test_without_kernels_torch_is_wanted_only_where_it_pays(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    limit: str,
    wanted: tuple[Package, ...],
) -> None:
    monkeypatch.setattr("ponant.engine.kernels.library.LIBRARY", tmp_path / "missing.so")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    monkeypatch.setenv("PONANT_ENGINE", engine)
    assert wanted_packages(Settings.load()) == wanted


@pytest.mark.parametrize("engine", ["auto", "native", "llamacpp"])
def test_with_kernels_torch_is_never_wanted(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    assert kernels.available()
    monkeypatch.setenv("PONANT_ENGINE", engine)
    assert wanted_packages(Settings.load()) == (LLAMACPP,)


@pytest.mark.usefixtures("into_other_python", "index")
def test_a_cuda_build_is_refused_where_there_is_no_gpu(other_python: Path) -> None:
    with pytest.raises(SetupError, match="PONANT_TORCH_INDEX"):
        install_package(TORCH, Settings.load(), _BARE)
    assert _installed(other_python, "torch") == ""
    assert _installed(other_python, "nvidia-cuda-runtime") == ""


@pytest.mark.usefixtures("into_other_python", "index")
def test_the_index_that_is_set_is_handed_to_pip(
    other_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = FakePackageIndex(tmp_path / "ours")
    ours.add("torch", {"torch/cpu.txt": b""}, version="2.13.0+cpu")
    monkeypatch.setenv("PONANT_TORCH_INDEX", ours.url)
    install_package(TORCH, Settings.load(), _BARE)
    assert _installed(other_python, "torch") == "2.13.0+cpu"


@pytest.mark.usefixtures("into_other_python", "index")
def test_a_machine_with_a_gpu_gets_the_build_for_it(other_python: Path) -> None:
    subprocess.run([other_python, "-m", "pip", "uninstall", "-qy", "torch"], check=True)
    install_package(TORCH, Settings.load(), replace(_BARE, gpus=("H200",)))
    assert _installed(other_python, "nvidia-cuda-runtime") == "1.0"


@pytest.mark.usefixtures("into_other_python", "index")
def test_a_package_that_is_not_on_the_index_is_named() -> None:
    with pytest.raises(SetupError, match=r"could not install xllamacpp==.*pip config list"):
        install_package(LLAMACPP, Settings.load(), _BARE)
