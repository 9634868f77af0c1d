"""How a source fares: what its follower knows, and what callers are shown of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

PushState = Literal["stored", "unchanged", "older", "failed", "deleted", "missing"]


@dataclass(slots=True)
class SourceState:
    """How a source fares now; counts are of documents.

    Attributes:
        refused: whether it is in error since what it signs in with was refused, or is lost.
        rate: documents a second in the run that goes on; 0 when in step.
        seconds_left: estimate for that run.
        interval: seconds between two looks where the source is polled.
    """

    state: Literal["in_step", "syncing", "error"] = "syncing"
    message: str = ""
    refused: bool = False
    seen: int = 0
    indexed: int = 0
    failed: int = 0
    pending: int = 0
    checked_at: datetime | None = None
    rate: float = 0.0
    seconds_left: float | None = None
    interval: float | None = None


class PushOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a pushed document or deletion.

    Attributes:
        state: stored, or why not: the same (unchanged) or a newer one (older) is stored, it cannot
            be read (failed), or there is nothing to delete (missing).
    """

    key: str
    state: PushState
    document_id: str | None = None
    message: str = ""
