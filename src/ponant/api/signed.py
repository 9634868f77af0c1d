"""What signed addresses open: files and documents, for whoever holds the address, for a while."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from ponant.accounts import Principal
from ponant.accounts.signing import Grant
from ponant.api.files import download
from ponant.api.platform import Platform, Services
from ponant.kit.errors import NotFound

router = APIRouter(prefix="/v1/signed", tags=["files"])

LIFE = timedelta(hours=1)


@router.get("/{token}", summary="Open a signed address")
async def opened(token: str, services: Services) -> Response:
    """Needs no key: the address is one. It opens what its maker may read at this moment."""
    grant = services.signer.read(token)
    maker = await run_in_threadpool(services.accounts.directory.member, grant)
    if maker is None:
        raise NotFound("This address opens nothing, or not any more. Ask for a fresh one.")
    return download(await _content(services, maker, grant))


def address(
    services: Platform, caller: Principal, what: str, *ids: str, life: timedelta = LIFE
) -> str:
    """A signed address of something of the caller's."""
    return f"{services.settings.base_url}/v1/signed/{services.signer.sign(caller, what, ids, life)}"


async def _content(services: Platform, maker: Principal, grant: Grant) -> bytes:
    scope: Any = maker.scope
    match grant.what:
        case "file":
            return await run_in_threadpool(services.files.content, scope, *grant.ids)
        case "text":
            return (await services.live.document_text(scope, *grant.ids)).encode()
        case _:
            return await services.live.documents.content(scope, *grant.ids)
