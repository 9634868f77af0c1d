"""Uploaded files, as the stock clients of OpenAI and Mistral keep them."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Response, UploadFile
from fastapi.concurrency import run_in_threadpool

from ponant.api.auth import Caller, Member
from ponant.api.cursors import After, Limit, Order, page_after
from ponant.api.errors import HttpError
from ponant.api.platform import Services
from ponant.files import StoredFile
from ponant.files.service import LARGEST
from ponant.kit.errors import Conflict, NotFound

router = APIRouter(prefix="/v1/files", tags=["files"])


@router.post("", summary="Upload a file")
async def upload(
    file: UploadFile,
    caller: Member,
    services: Services,
    purpose: Annotated[str, Form(description="Such as `assistants`.")] = "user_data",
) -> dict[str, Any]:
    """A file of the caller's own, to be put into vector stores; nobody else sees it here."""
    if file.size is not None and file.size > LARGEST:
        raise HttpError(413, f"The file is too large; the most is {LARGEST // 2**20} MiB.")
    data = await file.read()
    made = await run_in_threadpool(
        services.files.add, caller.scope, file.filename or "", data, purpose
    )
    return file_body(made)


@router.get("", summary="List files")
def list_files(
    caller: Caller,
    services: Services,
    purpose: str | None = None,
    after: After = None,
    limit: Limit = 100,
    order: Order = "desc",
    page: Annotated[int | None, Query(ge=0, lt=2**31, description="Page, from 0.")] = None,
    page_size: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """The caller's files, by ``after`` and ``limit`` or by ``page`` and ``page_size``."""
    found = [file_body(one) for one in services.files.list(caller.scope, purpose)]
    if page is None:
        return page_after(found, after, limit, order, latest_first=True) | {"total": len(found)}
    shown = found[page * page_size : (page + 1) * page_size]
    return {"object": "list", "data": shown, "total": len(found)}


@router.get("/{file_id}", summary="Show a file")
def show(file_id: str, caller: Caller, services: Services) -> dict[str, Any]:
    """What was uploaded, and when."""
    return file_body(services.files.get(caller.scope, file_id)) | {"deleted": False}


@router.get("/{file_id}/content", summary="Download a file")
def content(file_id: str, caller: Caller, services: Services) -> Response:
    """The bytes as they were uploaded."""
    return download(services.files.content(caller.scope, file_id))


@router.get("/{file_id}/url", summary="Make a signed address of a file")
def signed_url(
    file_id: str,
    caller: Caller,
    services: Services,
    expiry: Annotated[int, Query(ge=1, le=168, description="Hours that it opens the file.")] = 24,
) -> dict[str, str]:
    """Whoever has the address reads the file until then, without a key."""
    found = services.files.get(caller.scope, file_id)
    life = timedelta(hours=expiry)
    token = services.signer.sign(caller, "file", (found.id,), life)
    return {"url": f"{services.settings.base_url}/v1/signed/{token}"}


@router.delete("/{file_id}", summary="Delete a file")
async def delete(file_id: str, caller: Member, services: Services) -> dict[str, Any]:
    """It goes from the vector stores that it was put into, too."""
    found = await run_in_threadpool(services.files.get, caller.scope, file_id)
    for one in await run_in_threadpool(services.shelves.attached, caller.scope, None, found.id):
        try:
            await services.live.delete_document(caller.scope, one.library_id, one.document_id)
        except (Conflict, NotFound):
            continue  # gone, or closed to its own uploader: those who decide over it delete it
        await run_in_threadpool(services.shelves.detach, caller.scope, one.library_id, found.id)
    await run_in_threadpool(services.files.remove, caller.scope, file_id)
    return {"id": file_id, "object": "file", "deleted": True}


def download(data: bytes) -> Response:
    """Bytes that a browser saves and never shows: they are somebody's, not the page's."""
    return Response(
        data,
        media_type="application/octet-stream",
        headers={"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"},
    )


def file_body(one: StoredFile) -> dict[str, Any]:
    """A file as either client reads it."""
    return {
        "id": one.id,
        "object": "file",
        "bytes": one.size,
        "created_at": int(one.created_at.timestamp()),
        "filename": one.name,
        "purpose": one.purpose,
        "status": "processed",
        "expires_at": None,
        "sample_type": "instruct",
        "source": "upload",
        "num_lines": None,
        "mimetype": one.media_type,
        "signature": None,
    }
