"""Runs a model over given tokens, without an engine around it."""

from pathlib import Path

import torch
from torch import Tensor

from ponant.engine.cache import PAGE_TOKENS, PageTable
from ponant.engine.decoder import Decoder
from ponant.engine.models import load_spec
from ponant.engine.runner import make_batch
from ponant.engine.scheduler import Scheduler, Sequence
from ponant.engine.torch_decoder import TorchDecoder

_ROWS = 64


def open_runner(path: Path, dtype: torch.dtype, length: int) -> tuple[Decoder, int]:
    """A decoder for sequences of up to ``length`` tokens, and its number of pages."""
    pages = -(-length // PAGE_TOKENS)
    form = "fp32" if dtype is torch.float32 else "bf16"
    decoder = TorchDecoder(load_spec(path), form=form, context_length=length, pages=pages)
    return decoder, pages


def forward(opened: tuple[Decoder, int], tokens: list[int], chunk: int = 512) -> Tensor:
    """Logits behind every token, shape (tokens, vocabulary), the prompt run in chunks."""
    decoder, pages = opened
    scheduler = Scheduler(PageTable(pages), tokens_a_step=chunk)
    sequence = Sequence("req", "", tokens, reuse=False)
    scheduler.add(sequence)
    found: list[Tensor] = []
    while sequence.pending:
        work = scheduler.plan()
        hidden = decoder.forward(make_batch(work, [range(item.count) for item in work]))
        scheduler.advance(work)
        parts = (hidden[start : start + _ROWS] for start in range(0, len(hidden), _ROWS))
        found += [torch.from_numpy(decoder.logits(part)) for part in parts]
    return torch.cat(found)
