"""Runs a model over given tokens, without an engine around it."""

from pathlib import Path

import torch
from torch import Tensor

from ponant.engine.cache import PAGE_TOKENS, PageTable
from ponant.engine.models import family
from ponant.engine.runner import Runner
from ponant.engine.scheduler import Scheduler, Sequence
from ponant.engine.weights import GgufFile

_ROWS = 64


def open_runner(path: Path, dtype: torch.dtype, length: int) -> tuple[Runner, int]:
    """A runner for sequences of up to ``length`` tokens, and its number of pages."""
    file = GgufFile(path)
    model = family(file.metadata["general.architecture"])(file, dtype, length)
    pages = -(-length // PAGE_TOKENS)
    return Runner(model, pages), pages


@torch.inference_mode()
def forward(opened: tuple[Runner, int], tokens: list[int], chunk: int = 512) -> Tensor:
    """Logits behind every token, shape (tokens, vocabulary), the prompt run in chunks."""
    runner, pages = opened
    scheduler = Scheduler(PageTable(pages), tokens_a_step=chunk)
    sequence = Sequence("req", "", tokens, reuse=False)
    scheduler.add(sequence)
    found: list[Tensor] = []
    while sequence.pending:
        work = scheduler.plan()
        (hidden,) = runner.run(work, [range(item.count) for item in work])
        scheduler.advance(work)
        found += [runner.logits(rows) for rows in hidden.split(_ROWS)]
    return torch.cat(found)
