"""Vector stores, their files and batches as OpenAI's clients read them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ponant.files import Batch
from ponant.live.port import Document, DocumentState, Hit, Library

_STATUS = {"indexed": "completed", "failed": "failed", "pending": "in_progress"}


def store(
    library: Library, details: Mapping[str, Any], states: Sequence[DocumentState] | None
) -> dict[str, Any]:
    """A vector store.

    Args:
        states: those of its documents, where they were looked at.
    """
    is_ready = library.freshness.state != "syncing"
    counts = file_counts(states if states is not None else ["indexed"] * library.documents)
    return {
        "id": library.id,
        "object": "vector_store",
        "created_at": int(library.created_at.timestamp()),
        "name": library.name,
        "description": library.description,
        "usage_bytes": library.total_size,
        "file_counts": counts,
        "status": "completed" if is_ready and not counts["in_progress"] else "in_progress",
        "expires_after": None,
        "expires_at": None,
        "last_active_at": int(library.updated_at.timestamp()),
        "metadata": details.get("metadata", {}),
    }


def file_counts(states: Sequence[DocumentState]) -> dict[str, int]:
    """How many files are how far."""
    counts = Counter(_STATUS[one] for one in states)
    return {
        "in_progress": counts["in_progress"],
        "completed": counts["completed"],
        "failed": counts["failed"],
        "cancelled": 0,
        "total": len(states),
    }


def file(document: Document, file_id: str) -> dict[str, Any]:
    """A document as a vector store's file."""
    error = {"code": "invalid_file", "message": document.message}
    return {
        "id": file_id,
        "object": "vector_store.file",
        "created_at": int(document.created_at.timestamp()),
        "vector_store_id": document.library_id,
        "status": _STATUS[document.state],
        "usage_bytes": document.size,
        "last_error": error if document.state == "failed" else None,
        "attributes": document.metadata,
        "chunking_strategy": {"type": "other"},
        "document_id": document.id,
    }


def batch(one: Batch, states: Sequence[DocumentState]) -> dict[str, Any]:
    """Files that were put in together, and how far they are."""
    counts = file_counts(states)
    return {
        "id": one.id,
        "object": "vector_store.files_batch",
        "created_at": int(one.created_at.timestamp()),
        "vector_store_id": one.library_id,
        "status": "in_progress" if counts["in_progress"] else "completed",
        "file_counts": counts,
    }


def results(
    queries: Sequence[str], hits: Sequence[Hit], file_ids: Mapping[str, str]
) -> dict[str, Any]:
    """What a search found.

    Args:
        file_ids: of documents that were put in as files.
    """
    return {
        "object": "vector_store.search_results.page",
        "search_query": list(queries),
        "data": [
            {
                "file_id": file_ids.get(hit.document_id, hit.document_id),
                "filename": hit.document_name,
                "score": hit.score,
                "attributes": hit.metadata,
                "content": [{"type": "text", "text": hit.text}],
                "document_id": hit.document_id,
                "document_version": hit.document_version,
                "passage_id": hit.passage_id,
                "source_id": hit.source_id,
                "start": hit.start,
                "end": hit.end,
                "library_version": hit.library_version,
                "as_of": hit.as_of,
            }
            for hit in hits
        ],
        "has_more": False,
        "next_page": None,
    }
