"""Writes the usage of a generation, once, however the generation ends."""

import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import anyio
import structlog

from ponant.accounts import Principal
from ponant.billing.ledger import Ledger
from ponant.billing.schemas import UsageEvent
from ponant.engine import FinishReason, Usage
from ponant.kit import PonantError, new_id
from ponant.serving.port import Delta

_BYTES_PER_TOKEN = 4  # of English text in common vocabularies; used only where nothing better is
_OUR_FAULT = 500
_BROKEN_OFF = frozenset({FinishReason.CANCELLED, FinishReason.ERROR})

log = structlog.get_logger()


async def metered(
    deltas: AsyncIterator[Delta],
    caller: Principal,
    model: str,
    ledger: Ledger,
    *,
    most: Callable[[], int],
    prompt: str = "",
    event_id: str | None = None,
) -> AsyncGenerator[Delta]:
    """The same deltas; one usage row is on disk before the last of them is passed on.

    An answer that its consumer leaves, or that fails, is recorded as aborted with what it made
    until then. A request that is refused before its first delta is no generation and leaves no
    row. Closing this iterator closes ``deltas``.

    Args:
        most: tells the most tokens that prompt and answer may take (`ponant.billing.most_tokens`);
            asked where a budget applies.
        prompt: the prompt as text; its length stands in for a count that never came.
        event_id: names the event where the caller wants to; a fresh id by default.

    Raises:
        BudgetUsedUp: at the first step, where a budget of the caller's has less left.
    """
    tally = _Tally(prompt, ledger.clock.now())
    held: str | None = None
    settled = True  # until the model is asked
    try:
        async with _closing(deltas):
            if ledger.budgets.apply_to(caller):
                held = await ledger.budgets.reserve(caller, most())
            settled = False
            async for delta in deltas:
                tally.add(delta)
                if delta.finish is not None and not settled:
                    settled = True
                    await _record(ledger, tally.event(caller, model, event_id), held)
                    held = None
                yield delta
    except PonantError as e:
        settled = settled or (tally.empty and e.status < _OUR_FAULT)
        raise
    finally:
        if not settled:
            await _record(ledger, tally.event(caller, model, event_id), held)
        elif held is not None:
            await ledger.budgets.release(caller, held)


@asynccontextmanager
async def _closing(deltas: AsyncIterator[Delta]) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        close = getattr(deltas, "aclose", None)
        if close is not None:
            await close()


async def _record(ledger: Ledger, event: UsageEvent, held: str | None) -> None:
    if held is None and ledger.record_at_once(event):
        return
    with anyio.CancelScope(shield=True):
        try:
            await ledger.record_async(event, held)
        except Exception:
            log.exception("usage not recorded", event_id=event.event_id, model=event.model)
            raise


class _Tally:
    """Counts what a generation makes while it runs."""

    def __init__(self, prompt: str, started_at: datetime) -> None:
        self._prompt = prompt
        self._started_at = started_at
        self._started = time.monotonic()
        self._counted = 0
        self._reasoning = 0
        self._uncounted_bytes = 0
        self._usage: Usage | None = None
        self._finished = False
        self.empty = True

    def add(self, delta: Delta) -> None:
        self.empty = False
        self._counted += len(delta.tokens)
        if delta.reasoning and not delta.text:
            self._reasoning += len(delta.tokens)
        if not delta.tokens:
            calls = "".join(call.name + call.arguments for call in delta.tool_calls)
            self._uncounted_bytes += len((delta.text + delta.reasoning + calls).encode())
        if delta.usage is not None:
            self._usage = delta.usage
        if delta.finish is not None:
            self._finished = delta.finish not in _BROKEN_OFF

    def event(self, caller: Principal, model: str, event_id: str | None) -> UsageEvent:
        usage = self._usage or Usage(
            prompt_tokens=_estimate(len(self._prompt.encode())), completion_tokens=0
        )
        made, estimated = usage.completion_tokens, self._usage is None
        if not (self._finished and self._usage):
            produced = self._counted or _estimate(self._uncounted_bytes)
            estimated = estimated or (not self._counted and produced > made)
            made = max(made, produced)
        return UsageEvent(
            event_id=event_id or new_id("use"),
            workspace_id=caller.workspace_id,
            person_id=caller.person_id,
            key_id=caller.key_id,
            model=model,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            completion_tokens=made,
            reasoning_tokens=min(self._reasoning, made),
            aborted=not self._finished,
            estimated=estimated,
            latency_ms=round((time.monotonic() - self._started) * 1000),
            occurred_at=self._started_at,
        )


def _estimate(length: int) -> int:
    return math.ceil(length / _BYTES_PER_TOKEN)
