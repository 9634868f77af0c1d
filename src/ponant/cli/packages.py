"""The heavy packages that run models: which of them this machine wants, and how pip brings them."""

import importlib.metadata
import json
import subprocess
import sys
from dataclasses import dataclass

from ponant.engine import kernels
from ponant.kit import Settings
from ponant.kit.errors import SetupError, StorageFull
from ponant.kit.machine import Machine
from ponant.serving.backend import bf16_unit

_PLAIN = ("--disable-pip-version-check", "--no-input", "--progress-bar=off")
_CUDA_PREFIXES = ("nvidia-", "cuda-")


@dataclass(frozen=True, slots=True)
class Package:
    """A pinned package, what it is for, and about how many bytes it fetches on Linux."""

    project: str
    version: str
    purpose: str
    size: int

    @property
    def pin(self) -> str:
        return f"{self.project}=={self.version}"


TORCH = Package("torch", "2.13.0", "the native engine without kernels", 200_000_000)
LLAMACPP = Package("xllamacpp", "2026.10.11549", "llama.cpp, which runs any GGUF", 34_000_000)


def wanted_packages(settings: Settings) -> tuple[Package, ...]:
    """What suits: torch only where the native engine would need it for want of kernels."""
    if kernels.available():
        return (LLAMACPP,)
    native = settings.engine == "native" or (settings.engine == "auto" and bf16_unit() is not None)
    return (TORCH, LLAMACPP) if native else (LLAMACPP,)


def installed_version(project: str) -> str | None:
    """The version of an installed package, without its local part, or None."""
    try:
        return importlib.metadata.version(project).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def install_package(package: Package, settings: Settings, machine: Machine) -> None:
    """Install ``package`` into this Python.

    Raises:
        SetupError: pip fails, or would fetch a CUDA build for a machine without a GPU.
        StorageFull: the disk is full.
    """
    index = _index(package, settings)
    if package is TORCH and machine.system == "Linux" and not machine.gpus:
        _refuse_cuda(_pip(package, "install", "--dry-run", "--quiet", "--report=-", *index))
    _pip(package, "install", "--quiet", *index)


def _index(package: Package, settings: Settings) -> tuple[str, ...]:
    if package is TORCH and settings.torch_index:
        return ("--index-url", settings.torch_index)
    return ()


def _pip(package: Package, *arguments: str) -> str:
    done = subprocess.run(
        (sys.executable, "-m", "pip", *arguments, *_PLAIN, package.pin),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise _failure(package, done.stdout + done.stderr)
    return done.stdout


def _refuse_cuda(report: str) -> None:
    """Raise where pip's installation report holds a build for NVIDIA's or AMD's cards."""
    try:
        chosen = [entry["metadata"] for entry in json.loads(report)["install"]]
        names = {str(entry["name"]).lower().replace("_", "-") for entry in chosen}
        torch = next((str(e["version"]) for e in chosen if e["name"] == "torch"), "")
    except (KeyError, TypeError, ValueError) as e:
        raise SetupError("pip's report of what it would install cannot be read.") from e
    local = torch.partition("+")[2]
    if local.startswith(("cu", "rocm")) or any(name.startswith(_CUDA_PREFIXES) for name in names):
        raise SetupError(
            "This machine has no GPU, and the torch that pip finds is a build for one, several "
            "gigabytes large. Set PONANT_TORCH_INDEX to a package index with torch's CPU builds, "
            "or PONANT_ENGINE=llamacpp to do without torch, and run `ponant setup` again."
        )


def _failure(package: Package, log: str) -> SetupError | StorageFull:
    if "No module named pip" in log:
        return SetupError(
            f"{package.project} is installed through pip, which this Python lacks. Run "
            f"`{sys.executable} -m ensurepip`, then `ponant setup` again."
        )
    if "No space left on device" in log:
        return StorageFull(
            f"The disk filled up while installing {package.project}. Free some space and run "
            "`ponant setup` again."
        )
    errors = [line.removeprefix("ERROR: ") for line in log.splitlines() if "ERROR" in line]
    reason = errors[-1] if errors else "it gave no reason"
    return SetupError(
        f"pip could not install {package.pin}, {package.purpose}: {reason}. Check the network and "
        "the index that pip is set to (`pip config list`), then run `ponant setup` again."
    )
