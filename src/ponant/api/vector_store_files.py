"""The files of vector stores: put in, alone and together, listed, changed and taken out."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from ponant.accounts import Principal
from ponant.api import vector_store_bodies as bodies
from ponant.api.auth import Caller, Member
from ponant.api.cursors import After, Before, Limit, Order, page_after
from ponant.api.platform import Platform, Services
from ponant.kit.errors import BadRequest, NotFound
from ponant.live.port import Document

router = APIRouter(prefix="/v1/vector_stores/{store_id}", tags=["vector stores"])

_MOST_FILES = 500
_MOST_ATTRIBUTES = 16

_Value = Annotated[str, Field(max_length=512)] | bool | Annotated[float, Field(allow_inf_nan=False)]
Attributes = Annotated[
    dict[Annotated[str, Field(max_length=64)], _Value], Field(max_length=_MOST_ATTRIBUTES)
]
Status = Annotated[
    Literal["in_progress", "completed", "failed", "cancelled"] | None,
    Query(alias="filter", description="Only files that are so far."),
]


class FileBody(BaseModel):
    """The request of ``POST …/files``."""

    model_config = ConfigDict(extra="ignore")

    file_id: str
    attributes: Attributes | None = None


class FileChangeBody(BaseModel):
    """The request of ``POST …/files/{id}``."""

    attributes: Attributes | None


class BatchBody(BaseModel):
    """The request of ``POST …/file_batches``."""

    model_config = ConfigDict(extra="ignore")

    file_ids: Annotated[list[str], Field(max_length=_MOST_FILES)] | None = None
    files: Annotated[list[FileBody], Field(max_length=_MOST_FILES)] | None = None
    attributes: Attributes | None = None


@router.post("/files", summary="Put a file into a vector store")
async def add(store_id: str, body: FileBody, caller: Member, services: Services) -> dict[str, Any]:
    """One of the caller's uploads; it becomes a document of the library, read soon after."""
    document = await attach(services, caller, store_id, body)
    return bodies.file(document, body.file_id)


@router.get("/files", summary="List a vector store's files")
async def list_files(
    store_id: str,
    caller: Caller,
    services: Services,
    after: After = None,
    before: Before = None,
    limit: Limit = 20,
    order: Order = "desc",
    status: Status = None,
) -> dict[str, Any]:
    """Every document of the library, whatever brought it."""
    found = await documents(services, caller, store_id)
    return _page(found, after, before, limit, order, status)


@router.get("/files/{file_id}", summary="Show a vector store's file")
async def show(store_id: str, file_id: str, caller: Caller, services: Services) -> dict[str, Any]:
    """How far its reading is, and its attributes."""
    return bodies.file(await _document(services, caller, store_id, file_id), file_id)


@router.post("/files/{file_id}", summary="Change a file's attributes")
async def update(
    store_id: str, file_id: str, body: FileChangeBody, caller: Member, services: Services
) -> dict[str, Any]:
    """They take the place of those that it had."""
    document = await _document(services, caller, store_id, file_id)
    changed = await services.live.documents.update(
        caller.scope, store_id, document.id, metadata=body.attributes or {}
    )
    return bodies.file(changed, file_id)


@router.delete("/files/{file_id}", summary="Take a file out of a vector store")
async def remove(store_id: str, file_id: str, caller: Member, services: Services) -> dict[str, Any]:
    """Its document stops answering; the uploaded file stays."""
    document = await _document(services, caller, store_id, file_id)
    await services.live.delete_document(caller.scope, store_id, document.id)
    await run_in_threadpool(services.shelves.detach, caller.scope, store_id, file_id)
    return {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}


@router.get("/files/{file_id}/content", summary="Show a file's text")
async def content(
    store_id: str, file_id: str, caller: Caller, services: Services
) -> dict[str, Any]:
    """The text as it was read."""
    document = await _document(services, caller, store_id, file_id)
    text = await services.live.document_text(caller.scope, store_id, document.id)
    return {
        "object": "vector_store.file_content.page",
        "data": [{"type": "text", "text": text}],
        "has_more": False,
        "next_page": None,
    }


@router.post("/file_batches", summary="Put several files into a vector store")
async def add_batch(
    store_id: str, body: BatchBody, caller: Member, services: Services
) -> dict[str, Any]:
    """Named with attributes of their own (``files``) or together (``file_ids``)."""
    if (body.files is None) == (body.file_ids is None):
        raise BadRequest("Give either file_ids or files.", param="file_ids")
    wanted = body.files or [
        FileBody(file_id=one, attributes=body.attributes) for one in body.file_ids or []
    ]
    await run_in_threadpool(_check_files, services, caller, wanted)
    for one in wanted:
        await attach(services, caller, store_id, one)
    made = await run_in_threadpool(
        services.shelves.add_batch, caller.scope, store_id, [one.file_id for one in wanted]
    )
    return await show_batch(store_id, made.id, caller, services)


@router.get("/file_batches/{batch_id}", summary="Show how far several files are")
async def show_batch(
    store_id: str, batch_id: str, caller: Caller, services: Services
) -> dict[str, Any]:
    """Counts of the files that were put in together and are still there."""
    one = await run_in_threadpool(services.shelves.batch, caller.scope, store_id, batch_id)
    found = await documents(services, caller, store_id)
    return bodies.batch(one, [each.state for each, key in found if key in one.file_ids])


@router.post("/file_batches/{batch_id}/cancel", summary="Cancel a batch")
async def cancel_batch(
    store_id: str, batch_id: str, caller: Member, services: Services
) -> dict[str, Any]:
    """Files are taken in at once here: what is in stays, and the batch is shown as it is."""
    return await show_batch(store_id, batch_id, caller, services)


@router.get("/file_batches/{batch_id}/files", summary="List the files of a batch")
async def list_batch(
    store_id: str,
    batch_id: str,
    caller: Caller,
    services: Services,
    after: After = None,
    before: Before = None,
    limit: Limit = 20,
    order: Order = "desc",
    status: Status = None,
) -> dict[str, Any]:
    """Those that are still there."""
    one = await run_in_threadpool(services.shelves.batch, caller.scope, store_id, batch_id)
    found = await documents(services, caller, store_id)
    kept = [(each, key) for each, key in found if key in one.file_ids]
    return _page(kept, after, before, limit, order, status)


async def attach(services: Platform, caller: Principal, store_id: str, body: FileBody) -> Document:
    """Make a document of an upload; one that is in already takes its new attributes."""
    upload = await run_in_threadpool(services.files.get, caller.scope, body.file_id)
    try:
        there = await _document(services, caller, store_id, upload.id)
    except NotFound:
        pass
    else:
        metadata = body.attributes or {}
        return await services.live.documents.update(
            caller.scope, store_id, there.id, metadata=metadata
        )
    data = await run_in_threadpool(services.files.content, caller.scope, upload.id)
    document = await services.live.add_document(
        caller.scope, store_id, upload.name, data, metadata=body.attributes or {}, replace=False
    )
    await run_in_threadpool(services.shelves.attach, caller.scope, store_id, upload.id, document.id)
    return document


async def documents(
    services: Platform, caller: Principal, store_id: str
) -> list[tuple[Document, str]]:
    """The documents of a vector store, the oldest first, each with the id that it has as a file."""
    found = await services.live.list_documents(caller.scope, store_id)
    attached = await run_in_threadpool(services.shelves.attached, caller.scope, store_id)
    names = {one.document_id: one.file_id for one in attached}
    pairs = [(one, names.get(one.id, one.id)) for one in found]
    return sorted(pairs, key=lambda pair: (pair[0].created_at, pair[0].id))


async def _document(services: Platform, caller: Principal, store_id: str, file_id: str) -> Document:
    """The document that a file is here.

    Raises:
        NotFound: it is not in the vector store, or not for this caller.
    """
    attached = await run_in_threadpool(services.shelves.attached, caller.scope, store_id, file_id)
    document_id = attached[0].document_id if attached else file_id
    try:
        return await services.live.get_document(caller.scope, store_id, document_id)
    except NotFound as e:
        raise NotFound(f"There is no file {file_id} in this vector store.") from e


def _check_files(services: Platform, caller: Principal, wanted: list[FileBody]) -> None:
    """Refuse a batch whose files are not all the caller's, before any is put in."""
    for one in wanted:
        services.files.get(caller.scope, one.file_id)


def _page(
    found: list[tuple[Document, str]],
    after: str | None,
    before: str | None,
    limit: int,
    order: str,
    status: str | None,
) -> dict[str, Any]:
    shown = [bodies.file(document, file_id) for document, file_id in found]
    kept = [one for one in shown if status in (None, one["status"])]
    return page_after(kept, after, limit, order, before=before)
