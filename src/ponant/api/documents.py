"""Single documents of libraries: added, shown, changed, read again, downloaded and deleted."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Form, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from ponant.api.auth import Caller, Member
from ponant.api.errors import HttpError
from ponant.api.fields import Metadata
from ponant.api.library_bodies import document_body, status_body
from ponant.api.platform import Services
from ponant.api.signed import address
from ponant.kit.errors import BadRequest
from ponant.live.port import MetadataValue
from ponant.live.reading.media import LARGEST_FILE

router = APIRouter(prefix="/v1/libraries/{library_id}/documents", tags=["libraries"])


class DocumentChangeBody(BaseModel):
    """The request of ``PUT`` and ``PATCH``; what is missing stays."""

    model_config = ConfigDict(extra="ignore")

    name: str | None = None
    attributes: Metadata | None = Field(default=None, description="They replace the old ones.")


@router.post("", status_code=201, summary="Add a file")
async def add(
    library_id: str,
    file: UploadFile,
    caller: Member,
    services: Services,
    access: Annotated[
        str | None,
        Form(description="Who may read it from the first moment on: a JSON list of marks."),
    ] = None,
    attributes: Annotated[str | None, Form(description="Metadata: a JSON object.")] = None,
) -> dict[str, Any]:
    """A file of the library's own; one of the same name is replaced. It is read soon after."""
    if file.size is not None and file.size > LARGEST_FILE:
        raise HttpError(413, f"The file is too large; the most is {LARGEST_FILE // 2**20} MiB.")
    marks = None if access is None else _marks(access)
    data = await file.read()
    document = await services.live.add_document(
        caller.scope,
        library_id,
        file.filename or "",
        data,
        metadata=None if attributes is None else _attributes(_object(attributes)),
        access=marks,
    )
    return document_body(document)


@router.get("/{document_id}", summary="Show a document")
async def show(
    library_id: str, document_id: str, caller: Caller, services: Services
) -> dict[str, Any]:
    """A document as it was last read."""
    return document_body(await services.live.get_document(caller.scope, library_id, document_id))


@router.put("/{document_id}", summary="Change a document")
@router.patch("/{document_id}", summary="Change a document", include_in_schema=False)
async def update(
    library_id: str,
    document_id: str,
    body: DocumentChangeBody,
    caller: Member,
    services: Services,
) -> dict[str, Any]:
    """Its name, where it was added as a file, and its attributes."""
    metadata = None if body.attributes is None else _attributes(body.attributes)
    changed = await services.live.documents.update(
        caller.scope, library_id, document_id, body.name, metadata
    )
    return document_body(changed)


@router.get("/{document_id}/text_content", summary="Show a text")
async def text(
    library_id: str, document_id: str, caller: Caller, services: Services
) -> dict[str, str]:
    """A document's text, as Markdown where the file has structure."""
    return {"text": await services.live.document_text(caller.scope, library_id, document_id)}


@router.get("/{document_id}/status", summary="Show how far reading is")
async def status(
    library_id: str, document_id: str, caller: Caller, services: Services
) -> dict[str, Any]:
    """``done``, ``in_progress`` or ``error``."""
    return status_body(await services.live.get_document(caller.scope, library_id, document_id))


@router.get("/{document_id}/signed-url", summary="Make a signed address of a file")
async def signed_url(library_id: str, document_id: str, caller: Caller, services: Services) -> str:
    """Opens the file for an hour without a key, while the caller may read it."""
    await services.live.get_document(caller.scope, library_id, document_id)
    return address(services, caller, "content", library_id, document_id)


@router.get("/{document_id}/extracted-text-signed-url", summary="Make a signed address of a text")
async def text_url(library_id: str, document_id: str, caller: Caller, services: Services) -> str:
    """Opens the text for an hour without a key, while the caller may read it."""
    await services.live.get_document(caller.scope, library_id, document_id)
    return address(services, caller, "text", library_id, document_id)


@router.post("/{document_id}/reprocess", status_code=204, summary="Read a file again")
async def reprocess(
    library_id: str, document_id: str, caller: Member, services: Services
) -> Response:
    """One that was added as a file; the old text answers until the new one is there."""
    await services.live.documents.reprocess(caller.scope, library_id, document_id)
    return Response(status_code=204)


@router.delete("/{document_id}", status_code=204, summary="Delete a document")
async def delete(library_id: str, document_id: str, caller: Member, services: Services) -> Response:
    """One that was added as a file; what a source brought goes with its file."""
    await services.live.delete_document(caller.scope, library_id, document_id)
    return Response(status_code=204)


def _attributes(given: dict[str, Any]) -> dict[str, MetadataValue]:
    """Attributes as they are stored: texts, numbers, yes or no, and lists of texts."""
    try:
        return msgspec.convert(given, dict[str, MetadataValue])
    except msgspec.ValidationError as e:
        raise BadRequest(
            "Attributes are texts, numbers, true or false, or lists of texts.", param="attributes"
        ) from e


def _marks(given: str) -> list[str]:
    try:
        return msgspec.json.decode(given, type=list[str])
    except msgspec.DecodeError as e:
        raise BadRequest("The access list is no JSON list of texts.", param="access") from e


def _object(given: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(given, type=dict[str, Any])
    except msgspec.DecodeError as e:
        raise BadRequest("The attributes are no JSON object.", param="attributes") from e
