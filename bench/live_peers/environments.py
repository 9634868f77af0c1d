"""The peers' environments, each of its own; those that are missing are made."""

import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from bench.live_peers.contender import Setup

PACKAGES: Final = {
    "pathway": ("pathway[xpack-llm]==0.33.0",),
    "cocoindex": ("cocoindex==1.0.26", "numpy==2.4.6", "watchdog==7.1.0"),
    "plot": ("matplotlib==3.11.2",),
}
_MODULES: Final = {"pathway": "pathway", "cocoindex": "cocoindex", "plot": "matplotlib"}

PONANT: Final = Setup("Ponant", Path(sys.executable), "bench.live_peers.ponant_child")


def prepare(peers: Path, names: tuple[str, ...]) -> None:
    """Install what is missing below ``peers``; what is there is left alone."""
    for name in names:
        if list((peers / name).glob(f"lib/python*/site-packages/{_MODULES[name]}")):
            continue
        print(f"installing {name} …", flush=True)
        if not python(peers, name).exists():
            venv.create(peers / name, with_pip=True)
        quiet = ("install", "--quiet", "--disable-pip-version-check")
        command = [str(python(peers, name)), "-m", "pip", *quiet, *PACKAGES[name]]
        subprocess.run(command, check=True)


def python(peers: Path, name: str) -> Path:
    """The interpreter of a peer's environment."""
    return peers / name / "bin" / "python"


def setups(peers: Path, *, all_of_pathway: bool = True) -> list[Setup]:
    """Everyone who follows folders; Ponant comes first."""
    interpreter = python(peers, "pathway")
    variants: dict[str, dict[str, int | bool]] = {
        "Pathway, default": {},
        "Pathway, 50 ms": {"commit_ms": 50},
        "Pathway, 50 ms, cache": {"commit_ms": 50, "cache": True},
    }
    chosen = variants if all_of_pathway else dict([list(variants.items())[-1]])
    pathways = [
        Setup(name, interpreter, "bench.live_peers.pathway_child", "/v1/retrieve", options)
        for name, options in chosen.items()
    ]
    cocoindex = Setup("CocoIndex", python(peers, "cocoindex"), "bench.live_peers.cocoindex_child")
    return [PONANT, *pathways, cocoindex]
