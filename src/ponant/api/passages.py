"""The passages that answers rest on: whether they still hold, and where they stand."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from ponant.api.auth import Caller
from ponant.api.fields import Items
from ponant.api.platform import Services
from ponant.kit.errors import NotFound
from ponant.live.port import PassageRef

router = APIRouter(prefix="/v1/passages", tags=["passages"])

_MOST_PASSAGES = 500


class PassageBody(BaseModel):
    """A passage as an answer keeps it."""

    model_config = ConfigDict(extra="ignore")

    id: str
    hash: str


class CheckBody(BaseModel):
    """The request of ``POST /v1/passages/check``."""

    passages: Items[PassageBody] = Field(max_length=_MOST_PASSAGES)


@router.post("/check", summary="Ask whether passages still hold")
async def check(body: CheckBody, caller: Caller, services: Services) -> dict[str, Any]:
    """``changed`` or ``gone`` where the text is not what it was; in the order asked for.

    A passage that is not the caller's is gone, whether or not there ever was one.
    """
    passages = [PassageRef(id=one.id, hash=one.hash) for one in body.passages]
    states = await services.live.check_passages(caller.scope, passages)
    return {"data": [msgspec.to_builtins(state) for state in states]}


@router.get("/{passage_id}", summary="Show a passage in its document")
async def show(
    passage_id: Annotated[str, Path(description="The passage, such as psg_01jd….")],
    caller: Caller,
    services: Services,
    library_id: Annotated[str | None, Query(description="The library it was cited from.")] = None,
) -> dict[str, Any]:
    """The document's text as it is now, and where the passage stands in it."""
    view = await services.live.get_passage(caller.scope, passage_id)
    if library_id is not None and view.passage.library_id != library_id:
        raise NotFound(f"There is no passage {passage_id} in the library {library_id}.")
    document = view.document
    return {
        "passage": msgspec.to_builtins(view.passage),
        "document": {
            "id": document.id,
            "name": document.name,
            "version": document.version,
            "state": document.state,
        },
        "text": view.text,
        "start": view.passage.start,
        "end": view.passage.end,
    }
