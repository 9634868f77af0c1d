"""The side of a contender that runs in a process of its own: JSON lines in, JSON lines out.

It imports the standard library alone, since each engine lives in an environment of its own. The
engine's own output goes to the error stream, so that it cannot come between the lines.
"""

import json
import os
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass
class Answer:
    """What one prompt got; times are seconds since all prompts of its call were handed over."""

    first: float
    last: float
    ids: list[int] = field(default_factory=list)
    cached: int = 0
    steps: int = 0


class Engine(Protocol):
    """A loaded model under measurement."""

    def generate(self, prompts: Sequence[list[int]], tokens: int, **options: Any) -> list[Answer]:
        """Run the prompts together, greedily and past any end, for so many tokens each."""
        ...

    def score(self, windows: Sequence[list[int]]) -> list[float]:
        """Sum of negative log-likelihoods (nats) of each window's tokens after its first."""
        ...


def serve(load: Callable[[dict[str, Any]], Engine]) -> None:
    """Answer commands until the input ends. `load` gets the first line."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    engine = load(json.loads(sys.stdin.readline()))
    replies.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        command = json.loads(line)
        replies.write(json.dumps(_answer(engine, command)) + "\n")
    replies.flush()
    os._exit(0)  # some engines take long to unload, and some fail at it


def _answer(engine: Engine, command: dict[str, Any]) -> Any:
    match command.pop("do"):
        case "generate":
            return [asdict(answer) for answer in engine.generate(**command)]
        case "score":
            return engine.score(command["windows"])
        case "memory":
            return _resident()
        case "processor":
            used = resource.getrusage(resource.RUSAGE_SELF)
            return used.ru_utime + used.ru_stime
        case other:
            raise ValueError(f"no command {other}")


def _resident() -> dict[str, int]:
    """Bytes resident now, and those of them that belong to files (such as mapped weights)."""
    fields = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("VmRSS", "RssFile", "VmHWM"):
            fields[name] = int(value.split()[0]) * 1024
    return fields
