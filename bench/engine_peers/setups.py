"""Every contender at its best settings on two cores, as found by trying."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.engine_models.catalogue import Model
from bench.engine_peers.contender import Contender, Setup
from bench.engine_peers.environments import llama_environment, python
from bench.harness import OURS

SERVER: Final = "xllamacpp wheel (server)"
BUILT: Final = "llama.cpp built here"
THREADS: Final = os.cpu_count() or 1

_PACKAGE: Final = "bench.engine_peers"
# Groups of 128 for the activations' dynamic quantisation were the fastest of 0, 32 and 128.
_OPENVINO: Final = {"properties": {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "128"}}


@dataclass(frozen=True)
class Entrant:
    """A setup with the file it loads."""

    setup: Setup
    path: Path
    settings: str

    def start(self, *, context: int, streams: int = 1, **options: Any) -> Contender:
        """Start the process and load the model."""
        given = {"context": context, "streams": streams, "threads": THREADS, **options}
        return Contender(self.setup, self.path, **given)


def ours(model: Model, name: str = OURS, **engine: Any) -> Entrant:
    """Our own engine; drafts are off unless asked for, which a random prompt would misjudge."""
    child = f"{_PACKAGE}.ponant_child"
    options = {"engine": {"drafts": False, **engine}}
    setup = Setup(name, Path(sys.executable), child, options, peer=False)
    return Entrant(setup, model.gguf, "weights as in the file, repacked")


def built(model: Model) -> Entrant:
    """llama.cpp built on this machine, by its C interface."""
    setup = Setup(
        BUILT,
        python("llama"),
        f"{_PACKAGE}.llama_child",
        {"batch": 512},
        llama_environment(),
    )
    return Entrant(setup, model.gguf, "native build, repacked weights, batches of 512")


def wheel(model: Model) -> Entrant:
    """llama.cpp's server as the wheel brings it."""
    setup = Setup(SERVER, python("xllamacpp"), f"{_PACKAGE}.xllamacpp_child", {"batch": 512})
    return Entrant(setup, model.gguf, "a slot a stream, batches of 512")


def openvino(model: Model) -> list[Entrant]:
    child = f"{_PACKAGE}.openvino_child"
    return [
        Entrant(
            Setup(f"OpenVINO GenAI {form}", python("openvino"), child, _OPENVINO),
            folder,
            "continuous batching, dynamic quantisation in groups of 128",
        )
        for form, folder in model.openvino.items()
    ]


def everyone(model: Model) -> list[Entrant]:
    """Ours first."""
    return [ours(model), built(model), wheel(model), *openvino(model)]
