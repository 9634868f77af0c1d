"""What the ledger takes and answers with."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ponant.accounts import Principal
from ponant.engine import Usage
from ponant.kit import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvent:
    """What one generation, or one call to an embedder, consumed.

    Attributes:
        event_id: names the event; the same id with the same content is the same event.
        cached_tokens: those of ``prompt_tokens`` that were not computed anew.
        reasoning_tokens: those of ``completion_tokens`` that the model spent thinking.
        aborted: it ended before the model was done; what was made until then counts.
        estimated: the model did not say how many tokens, so they were estimated from the text.
        latency_ms: from the first step to the last token.
    """

    event_id: str
    workspace_id: str
    person_id: str
    key_id: str | None
    model: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    aborted: bool = False
    estimated: bool = False
    latency_ms: int = 0
    occurred_at: datetime


class GroupBy(StrEnum):
    """What the rows of a summary stand for."""

    DAY = "day"
    MODEL = "model"
    KEY = "key"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSum:
    """Sums over the events of one day (UTC), model or key; ``group`` is empty for no key."""

    group: str
    requests: int
    aborted: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Tokens that a workspace, or one person in it, may use in a month, and how it stands.

    Attributes:
        person_id: None where it is the whole workspace's.
        used: prompts and answers that the ledger has, cached tokens among them.
        reserved: what requests under way may yet use.
        month: in UTC, such as ``2026-11``; the next one starts at ``ends_at`` with nothing used.
    """

    person_id: str | None
    tokens: int
    used: int
    reserved: int
    left: int
    month: str
    ends_at: datetime


def usage_event(
    caller: Principal, model: str, usage: Usage, now: datetime, *, latency_ms: int = 0
) -> UsageEvent:
    """The event of a call that told its own usage."""
    return UsageEvent(
        event_id=new_id("use"),
        workspace_id=caller.workspace_id,
        person_id=caller.person_id,
        key_id=caller.key_id,
        model=model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        latency_ms=latency_ms,
        occurred_at=now,
    )
