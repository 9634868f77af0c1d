"""How fast each backend was when `ponant doctor --bench` timed it on this machine."""

import importlib.metadata
from pathlib import Path

import msgspec

from ponant.kit.machine import this_machine

_FILE = "engines.json"
_PACKAGES = ("ponant", "torch", "xllamacpp")


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend did on the starter, in tokens a second; ``seconds`` for both together."""

    backend: str
    prefill: float
    decode: float
    seconds: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Speeds, the fastest first, and what they hold for."""

    speeds: tuple[Speed, ...]
    processor: str
    instructions: tuple[str, ...]
    threads: int
    versions: dict[str, str]


def remember(home: Path, speeds: tuple[Speed, ...], threads: int) -> None:
    """Keep the speeds beside the models of a home."""
    machine = this_machine()
    found = Measured(
        speeds=tuple(sorted(speeds, key=lambda speed: speed.seconds)),
        processor=machine.processor,
        instructions=machine.instructions,
        threads=threads,
        versions=_versions(),
    )
    folder = home / "models"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{_FILE}"
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    temporary.replace(folder / _FILE)


def recall(home: Path, threads: int) -> tuple[Speed, ...]:
    """The speeds, the fastest first; none where they are of other hardware, threads or versions."""
    try:
        found = msgspec.json.decode((home / "models" / _FILE).read_bytes(), type=Measured)
    except (OSError, msgspec.MsgspecError):
        return ()
    machine = this_machine()
    here = machine.processor, machine.instructions, threads, _versions()
    then = found.processor, found.instructions, found.threads, found.versions
    return found.speeds if here == then else ()


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
