"""How a library stands to its sources, in a word, a time and a sentence."""

from collections.abc import Sequence
from datetime import datetime

from ponant.live.port import Freshness
from ponant.live.sources.state import SourceState
from ponant.live.tables import LibraryRow

_NO_MEANING = "Search goes by keywords alone, since no embedding model is ready (ponant setup)."


def of(
    row: LibraryRow,
    sources: Sequence[SourceState],
    uploads: int,
    vectors: int,
    *,
    has_meaning: bool,
) -> Freshness:
    """A library's freshness.

    Args:
        uploads: dropped files that wait to be read.
        vectors: passages that are found by keywords and not yet by meaning.
        has_meaning: whether there is an embedder.
    """
    pending = sum(state.pending for state in sources) + uploads
    broken = next((state for state in sources if state.state == "error"), None)
    messages = [state.message for state in sources if state.message]
    if vectors and has_meaning:
        messages.append(f"{vectors} passages are found by keywords and not yet by meaning.")
    if not has_meaning:
        messages.append(_NO_MEANING)
    syncing = pending or (vectors and has_meaning) or any(s.state == "syncing" for s in sources)
    return Freshness(
        state="error" if broken else "syncing" if syncing else "in_step",
        version=row.version,
        as_of=_as_of(row, sources),
        pending=pending,
        message=broken.message if broken else " ".join(messages),
    )


def _as_of(row: LibraryRow, sources: Sequence[SourceState]) -> datetime:
    """When the library was last known to say what its sources say."""
    checks = [state.checked_at for state in sources if state.state == "in_step"]
    if len(checks) < len(sources) or not checks:
        return row.as_of
    return max(row.as_of, min(check for check in checks if check is not None))
