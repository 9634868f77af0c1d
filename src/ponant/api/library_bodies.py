"""Libraries and documents as Mistral's client reads them, with what only Ponant knows beside."""

from pathlib import PurePath
from typing import Any

import msgspec

from ponant.live.port import Change, Document, Library

_STATUS = {"indexed": "done", "failed": "error", "pending": "in_progress"}
_STATUS_OF_OLD = {"indexed": "Completed", "failed": "Failed", "pending": "Running"}


def library_body(library: Library) -> dict[str, Any]:
    """A library."""
    return {
        "id": library.id,
        "object": "library",
        "name": library.name,
        "description": library.description,
        "created_at": library.created_at,
        "updated_at": library.updated_at,
        "owner_id": library.owner_id,
        "owner_type": "Workspace",
        "total_size": library.total_size,
        "nb_documents": library.documents,
        "chunk_size": None,
        "emoji": None,
        "generated_name": None,
        "generated_description": None,
        "explicit_user_members_count": None,
        "explicit_workspace_members_count": None,
        "org_sharing_role": None,
        "freshness": msgspec.to_builtins(library.freshness),
    }


def document_body(document: Document) -> dict[str, Any]:
    """A document."""
    return {
        "id": document.id,
        "object": "document",
        "library_id": document.library_id,
        "hash": None,
        "mime_type": document.media_type,
        "extension": PurePath(document.name).suffix.removeprefix("."),
        "size": document.size,
        "name": document.name,
        "created_at": document.created_at,
        "updated_at": document.updated_at,
        "last_processed_at": None if document.state == "pending" else document.updated_at,
        "uploaded_by_id": None,
        "uploaded_by_type": "Workspace",
        "tokens_processing_total": 0,
        "number_of_pages": None,
        "summary": None,
        "url": document.url,
        "attributes": document.metadata or None,
        "access": document.access,
        "expires_at": None,
        "path": document.path,
        "version": document.version,
        "message": document.message,
        "source_id": document.source_id,
        **status_body(document),
    }


def status_body(document: Document) -> dict[str, Any]:
    """How far a document's reading is."""
    return {
        "document_id": document.id,
        "process_status": _STATUS[document.state],
        "processing_status": _STATUS_OF_OLD[document.state],
    }


def change_body(change: Change) -> dict[str, Any]:
    """A change, for those who listen."""
    return {
        "library_id": change.library_id,
        "version": change.version,
        "as_of": change.as_of,
        "documents": [
            {"id": document_id, "name": name, "change": what}
            for document_id, name, what in change.documents
        ],
        "freshness": msgspec.to_builtins(change.freshness),
        "sources": [msgspec.to_builtins(one) for one in change.sources],
    }


def page_of(items: list[dict[str, Any]], page: int, page_size: int) -> dict[str, Any]:
    """One page of a list, counted from 0, with what there is beside it."""
    begin = page * page_size
    pages = -(-len(items) // page_size)
    return {
        "object": "list",
        "data": items[begin : begin + page_size],
        "pagination": {
            "total_items": len(items),
            "total_pages": pages,
            "current_page": page,
            "page_size": page_size,
            "has_more": page + 1 < pages,
        },
    }
