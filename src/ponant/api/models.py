"""The models that a caller may use, in one card that both vendors' clients read."""

from typing import Any

from fastapi import APIRouter

from ponant.api.auth import Caller
from ponant.api.platform import Services
from ponant.kit.errors import Forbidden
from ponant.serving.port import ModelCard

router = APIRouter(tags=["models"])


@router.get("/v1/models", summary="List models")
async def list_models(
    caller: Caller,
    services: Services,
) -> dict[str, Any]:
    """Every model of this installation and of the organisation's upstream servers."""
    cards = await services.models.list(caller.scope)
    return {"object": "list", "data": [_body(card) for card in cards]}


@router.get("/v1/models/{model_id:path}", summary="Show a model")
async def show_model(
    model_id: str,
    caller: Caller,
    services: Services,
) -> dict[str, Any]:
    """One model's card, by its id or an alias."""
    model = await services.models.get(model_id, caller.scope)
    return _body(model.card)


@router.delete("/v1/models/{model_id:path}", summary="Delete a model")
async def delete_model(
    model_id: str,
    caller: Caller,
    services: Services,
) -> dict[str, Any]:
    """Refused for models that the operator installed: only fine-tuned ones can be deleted."""
    model = await services.models.get(model_id, caller.scope)
    raise Forbidden(
        f"{model.card.id} was installed by the operator, who removes it from the disk; only "
        "fine-tuned models can be deleted here."
    )


def _body(card: ModelCard) -> dict[str, Any]:
    return {
        "id": card.id,
        "object": "model",
        "created": card.created,
        "owned_by": "ponant" if card.place == "here" else "upstream",
        "type": "base",
        "name": card.name or card.id,
        "description": card.description,
        "max_context_length": card.context_length,
        "aliases": list(card.aliases),
        "deprecation": None,
        "capabilities": {
            "completion_chat": card.chat,
            "completion_fim": card.fim,
            "function_calling": card.tools,
            "fine_tuning": False,
            "vision": False,
            "classification": False,
        },
        "ponant": {
            "place": card.place,
            "state": card.state,
            "detail": card.detail,
            "memory": card.memory,
            "backend": card.backend,
            "chat": card.chat,
            "embedding": card.embedding,
            "reranking": card.reranking,
            "dimension": card.dimension,
            "origin": card.origin,
            "licence": card.licence,
            "restrictions": card.restrictions,
            "name": card.name,
            "description": card.description,
        },
    }
