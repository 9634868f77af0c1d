"""Takes in what programs push: by document key and version, so that it may come twice or late."""

from dataclasses import replace

from ponant.live.indexing.ingestion import Known
from ponant.live.sources.intake import Intake
from ponant.live.sources.port import Found, Gone
from ponant.live.sources.state import PushOutcome, PushState
from ponant.live.sources.stock import Stock

_MOST_DELETED = 10_000  # deletions of pushed documents whose versions are remembered


class PushIntake:
    """Decides what a pushed change is to what is stored, and stores it where it is newer."""

    def __init__(self, intake: Intake, stock: Stock) -> None:
        self._intake = intake
        self._stock = stock

    async def take(self, change: Found | Gone, *, hurry: bool) -> PushOutcome:
        """Take a change in; it is stored when this returns."""
        known = self._stock.known.get(change.key)
        number, there = change.source_version, known.document_id if known else None
        last = known.source_version if known else self._deleted.get(change.key)
        if number is not None and last is not None and number <= last:
            if isinstance(change, Found) and known is not None and number == last:
                if known.state == "indexed":
                    return _said(change.key, "unchanged", there)
            elif isinstance(change, Found) or number < last:
                return _said(change.key, "older", there)
        if isinstance(change, Gone):
            await self._intake.take(self._remembering(change), hurry=False)
            return _said(change.key, "missing" if known is None else "deleted", there)
        await self._intake.take(change, hurry=hurry)
        return self._outcome(change, known)

    def _outcome(self, change: Found, before: Known | None) -> PushOutcome:
        now = self._stock.known.get(change.key)
        if now is None or change.key in self._stock.passed:
            return _said(change.key, "failed", message="It failed; the server's log says why.")
        if now.state == "failed":
            return _said(
                change.key,
                "failed",
                now.document_id,
                "It cannot be read; its message in the library says why.",
            )
        return _said(change.key, "unchanged" if now == before else "stored", now.document_id)

    @property
    def _deleted(self) -> dict[str, int]:
        found: dict[str, int] = (self._stock.cursor or {}).get("deleted", {})
        return found

    def _remembering(self, change: Gone) -> Gone:
        """A deletion that is remembered, so that an older version that comes late is nothing."""
        if change.source_version is None:
            return change
        kept = {**self._deleted, change.key: change.source_version}
        while len(kept) > _MOST_DELETED:
            del kept[next(iter(kept))]
        return replace(change, cursor={**(self._stock.cursor or {}), "deleted": kept})


def _said(
    key: str, state: PushState, document_id: str | None = None, message: str = ""
) -> PushOutcome:
    return PushOutcome(key=key, state=state, document_id=document_id, message=message)
