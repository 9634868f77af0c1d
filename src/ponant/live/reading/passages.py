"""Names passages so that the same text keeps its name, and tells what became of the others."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from ponant.live.reading.chunking import Chunk
from ponant.live.tables import PassageRow
from ponant.store import Scope


def fingerprint(text: str) -> str:
    """Names a text: the first 128 bits of its SHA-256, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def passage_rows(
    scope: Scope, library_id: str, document_id: str, chunks: Sequence[Chunk]
) -> list[PassageRow]:
    """Rows whose ids depend on nothing but document, text and how often it came before."""
    seen: Counter[str] = Counter()
    rows: list[PassageRow] = []
    for position, chunk in enumerate(chunks):
        digest = fingerprint(chunk.text)
        occurrence, seen[digest] = seen[digest], seen[digest] + 1
        name = fingerprint(f"{document_id}/{digest}/{occurrence}")
        rows.append(
            PassageRow(
                workspace_id=scope.workspace_id,
                library_id=library_id,
                document_id=document_id,
                passage_id=f"psg_{name[:26]}",
                hash=digest,
                input_hash=fingerprint(chunk.input),
                embedded_by=None,
                position=position,
                start=chunk.start,
                end=chunk.end,
                heading=chunk.heading,
                text=chunk.text,
            )
        )
    return rows


def fates(before: Sequence[PassageRow], after: Sequence[PassageRow]) -> dict[str, str]:
    """Which lost passages had their place taken by others: those are ``changed``."""
    matcher = SequenceMatcher(
        None, [row.hash for row in before], [row.hash for row in after], autojunk=False
    )
    return {
        row.passage_id: "changed"
        for what, begin, end, _, _ in matcher.get_opcodes()
        if what == "replace"
        for row in before[begin:end]
    }
