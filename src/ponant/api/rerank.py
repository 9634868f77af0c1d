"""Reranking, in the form that Jina's and Cohere's clients know and vLLM serves."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from ponant.api.auth import Member
from ponant.api.fields import Count, Items, Text, ignored_header
from ponant.api.generation import unless_disconnected
from ponant.api.platform import Services
from ponant.api.routing import GeneratingRoute
from ponant.billing import UsageEvent, most_read, usage_event
from ponant.kit import new_id
from ponant.kit.errors import BadRequest

router = APIRouter(tags=["rerank"], route_class=GeneratingRoute)

_MOST_DOCUMENTS = 512


class Document(BaseModel):
    """A document as an object, as Jina's clients send it."""

    model_config = ConfigDict(extra="allow")

    text: Text


class RerankBody(BaseModel):
    """The request of ``POST /v1/rerank``."""

    model_config = ConfigDict(extra="allow")

    model: str
    query: Text
    documents: Items[Text | Document]
    top_n: Count | None = Field(
        default=None, description="How many results to give, the best first; all by default."
    )
    return_documents: bool = True

    def texts(self) -> list[str]:
        """The documents' texts.

        Raises:
            BadRequest: there are none, too many, or the query is empty.
        """
        if not self.query:
            raise BadRequest("The query needs at least one character.", param="query")
        if not self.documents:
            raise BadRequest("There is no document to rank.", param="documents")
        if len(self.documents) > _MOST_DOCUMENTS:
            raise BadRequest(
                f"At most {_MOST_DOCUMENTS} documents fit one request; this one has "
                f"{len(self.documents)}.",
                param="documents",
            )
        return [one if isinstance(one, str) else one.text for one in self.documents]


@router.post("/v1/rerank", summary="Rank documents for a query")
async def rank(
    body: RerankBody,
    request: Request,
    caller: Member,
    services: Services,
) -> Response:
    """Order documents by how well they answer a query, the best first.

    ``relevance_score`` runs from 0 to 1. Documents that are, together with the query, longer than
    the model reads are refused, never cut.
    """
    texts = body.texts()
    model = await services.models.get(body.model, caller.scope)
    if not model.card.reranking:
        raise BadRequest(
            f"The model {model.card.id} does not rerank. Pull a cross-encoder and choose it.",
            param="model",
        )
    most = partial(most_read, model.card, [body.query + text for text in texts])
    async with services.ledger.budgets.held(caller, most) as reservation:
        made = await unless_disconnected(request, model.rerank(body.query, texts))
        event: UsageEvent = usage_event(caller, model.card.id, made.usage, services.clock.now())
        await services.ledger.record_async(event, reservation)
    order = sorted(range(len(texts)), key=lambda place: -made.scores[place])
    kept = order if body.top_n is None else order[: body.top_n]
    whole = {
        "id": new_id("rerank"),
        "model": body.model,
        "usage": {
            "prompt_tokens": made.usage.prompt_tokens,
            "total_tokens": made.usage.prompt_tokens,
        },
        "results": [_result(place, made.scores[place], texts, body) for place in kept],
    }
    return JSONResponse(whole, headers=ignored_header(body.model_extra))


def _result(place: int, score: float, texts: list[str], body: RerankBody) -> dict[str, Any]:
    result: dict[str, Any] = {"index": place, "relevance_score": score}
    if body.return_documents:
        result["document"] = {"text": texts[place]}
    return result
