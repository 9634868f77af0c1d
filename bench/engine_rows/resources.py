"""Resident memory after a long prompt, and the time from a process's start to its first token."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.engine_models.catalogue import Model
from bench.engine_peers.contender import Contender
from bench.engine_peers.setups import THREADS, Entrant, built, everyone, ours, wheel
from bench.engine_rows.prompts import random_prompt
from bench.harness import OURS, PAIRS, Figures, in_turns
from ponant.engine import Request, Sampling
from ponant.serving.runfolder import RunFolder
from ponant.serving.supervisor import WorkerProcess
from ponant.serving.wire import WorkerSpec

_CONTEXT = 4096
_PROMPT = 1504
_MIB = 1 << 20
_ALONE = "Ponant's engine alone"


def memory(model: Model) -> Figures:
    """MiB resident after a prompt of 1,504 tokens and 32 more, with room for a context of 4,096."""
    figures = Figures("resident memory", "MiB", lower_is_better=True)
    for entrant in everyone(model):
        with entrant.start(context=_CONTEXT) as engine:
            engine.generate([random_prompt(model, _PROMPT, 0)], 32)
            resident = engine.memory()
        name = entrant.setup.name
        figures.values[name] = [resident["VmRSS"] / _MIB]
        figures.notes[f"{name}: at most, of it files"] = [
            round(resident["VmHWM"] / _MIB),
            round(resident["RssFile"] / _MIB),
        ]
    figures.notes["the file"] = round(model.gguf.stat().st_size / _MIB)
    return figures


def first_token(model: Model) -> Figures:
    """Seconds from a process's start to its first token; the file is in the page cache.

    Ours is a server's worker, started and asked as the server does; the engine alone stands beside.
    """
    figures = Figures("process start to first token", "s", lower_is_better=True)
    entrants = [ours(model, _ALONE), built(model), wheel(model)]
    turns = {OURS: lambda: asyncio.run(_worker(model))}
    turns |= {entrant.setup.name: _bound(model, entrant) for entrant in entrants}
    for turn in turns.values():
        turn()
    in_turns(figures, turns, PAIRS)
    figures.notes[_ALONE] = figures.values.pop(_ALONE)  # no peer of ours
    return figures


async def _worker(model: Model) -> float:
    """The time for a worker, which finds no cache of an earlier one."""
    spec = WorkerSpec(
        backend="native", path=str(model.gguf), context_length=_CONTEXT, threads=THREADS
    )
    asked = Request(
        id="first",
        prompt=random_prompt(model, 16, 1),
        max_tokens=1,
        sampling=Sampling(temperature=0),
    )
    with tempfile.TemporaryDirectory() as home:
        folder = RunFolder(Path(home))
        worker = WorkerProcess(model.name, spec, folder)
        began = time.perf_counter()
        events = worker.generate(asked)
        await anext(events)
        took = time.perf_counter() - began
        await events.aclose()
        await worker.close()
        folder.remove()
    return took


def _bound(model: Model, entrant: Entrant) -> Callable[[], float]:
    def once() -> float:
        began = time.perf_counter()
        engine: Contender = entrant.start(context=_CONTEXT)
        engine.generate([random_prompt(model, 16, 1)], 1)
        took = time.perf_counter() - began
        engine.close()
        return took

    return once
