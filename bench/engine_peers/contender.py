"""The bench's side of a contender: starts its process, sends commands, and lets it rest between."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.engine_peers.child import Answer

CHECKOUT = Path(__file__).parent.parent.parent
HOME = CHECKOUT / ".bench"


@dataclass(frozen=True)
class Setup:
    """How an engine is started.

    Attributes:
        name: what the table calls it.
        python: the interpreter of its environment.
        module: the child to run.
        options: the child's first line, without the model.
        environment: variables beside the inherited ones.
        peer: False for Ponant's own.
    """

    name: str
    python: Path
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    peer: bool = True


class Contender(AbstractContextManager["Contender"]):
    """One engine with one model in a process of its own.

    Raises:
        RuntimeError: the engine failed; the end of what it said is in the message.
    """

    def __init__(self, setup: Setup, model: Path, **options: Any) -> None:
        self.name = setup.name
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [setup.python, "-m", setup.module],
            cwd=CHECKOUT,
            env=_environment(setup),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        self._ask({**setup.options, "model": str(model), **options})
        self.start_seconds = time.perf_counter() - started

    def generate(self, prompts: Sequence[list[int]], tokens: int, **options: Any) -> list[Answer]:
        reply = self._ask({"do": "generate", "prompts": prompts, "tokens": tokens, **options})
        return [Answer(**answer) for answer in reply]

    def score(self, windows: Sequence[list[int]]) -> list[float]:
        return list(self._ask({"do": "score", "windows": windows}))

    def memory(self) -> dict[str, int]:
        return dict(self._ask({"do": "memory"}))

    def processor_seconds(self) -> float:
        return float(self._ask({"do": "processor"}))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, command: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(60)
            self._said.seek(0)
            end = self._said.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"{self.name} ended with {self._process.returncode}:\n{end}")
        return json.loads(line)


def _environment(setup: Setup) -> dict[str, str]:
    """The environment of a child: no telemetry, no hub, no settings of the user's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PONANT_")}
    return kept | {
        "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'src'}",
        "HOME": str(HOME / "home"),  # where OpenVINO's telemetry package was told to be silent
        "HF_HUB_OFFLINE": "1",
        **setup.environment,
    }
