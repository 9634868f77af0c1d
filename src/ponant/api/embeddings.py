"""Embeddings, in the dimensions and number formats that both vendors define."""

import base64
from functools import partial
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from numpy.typing import NDArray
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from ponant.api.auth import Member
from ponant.api.fields import Items, Text, ignored_header
from ponant.api.generation import unless_disconnected, usage_body
from ponant.api.platform import Services
from ponant.api.routing import GeneratingRoute
from ponant.billing import UsageEvent, most_read, usage_event
from ponant.kit import new_id
from ponant.kit.errors import BadRequest

router = APIRouter(tags=["embeddings"], route_class=GeneratingRoute)

_MOST_INPUTS = 512


class EmbeddingBody(BaseModel):
    """The request of ``POST /v1/embeddings``; OpenAI says ``input``, Mistral either."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: Text | Items[Text] = Field(validation_alias=AliasChoices("input", "inputs"))
    output_dimension: int | None = Field(
        default=None, ge=1, validation_alias=AliasChoices("output_dimension", "dimensions")
    )
    output_dtype: Literal["float", "int8", "uint8", "binary", "ubinary"] = "float"
    encoding_format: Literal["float", "base64"] = "float"
    input_type: Literal["query", "passage"] = Field(
        default="passage", description="What the texts are for; an addition of Ponant's."
    )

    def texts(self) -> list[str]:
        """The texts to embed.

        Raises:
            BadRequest: there are none, too many, or an empty one.
        """
        texts = [self.input] if isinstance(self.input, str) else self.input
        if not texts or not all(texts):
            raise BadRequest("Each input needs at least one character.", param="input")
        if len(texts) > _MOST_INPUTS:
            raise BadRequest(
                f"At most {_MOST_INPUTS} inputs fit one request; this one has {len(texts)}.",
                param="input",
            )
        return texts


@router.post("/v1/embeddings", summary="Embed texts")
async def create(
    body: EmbeddingBody,
    request: Request,
    caller: Member,
    services: Services,
) -> Response:
    """Turn texts into vectors of length 1.

    A smaller ``output_dimension`` keeps the first components and scales them to length 1 again.
    Inputs longer than the model reads are refused, never cut.
    """
    model = await services.models.get(body.model, caller.scope)
    if not model.card.embedding:
        raise BadRequest(
            f"The model {model.card.id} does not embed. Choose an embedding model, such as embed.",
            param="model",
        )
    texts = body.texts()
    most = partial(most_read, model.card, texts)
    async with services.ledger.budgets.held(caller, most) as reservation:
        made = await unless_disconnected(request, model.embed(texts, body.input_type))
        event: UsageEvent = usage_event(caller, model.card.id, made.usage, services.clock.now())
        await services.ledger.record_async(event, reservation)
    vectors = _shorten(made.vectors, body.output_dimension)
    packed = body.encoding_format == "base64" and not _is_mistral(request)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _numbers(row, body.output_dtype, packed),
        }
        for index, row in enumerate(vectors)
    ]
    whole = {
        "id": new_id("embd"),
        "object": "list",
        "model": body.model,
        "data": data,
        "usage": usage_body(made.usage),
    }
    return JSONResponse(whole, headers=ignored_header(body.model_extra))


def _is_mistral(request: Request) -> bool:
    # Its client refuses base64 even where that was asked for.
    return "mistral" in request.headers.get("user-agent", "").lower()


def _shorten(vectors: NDArray[np.float32], dimension: int | None) -> NDArray[np.float32]:
    if dimension is None or dimension == vectors.shape[1]:
        return vectors
    if dimension > vectors.shape[1]:
        raise BadRequest(
            f"This model makes {vectors.shape[1]} dimensions; ask for as many or fewer.",
            param="output_dimension",
        )
    kept = vectors[:, :dimension]
    lengths = np.linalg.norm(kept, axis=1, keepdims=True)
    shortened: NDArray[np.float32] = kept / np.maximum(lengths, np.finfo(np.float32).tiny)
    return shortened


def _numbers(row: NDArray[np.float32], dtype: str, packed: bool) -> Any:  # noqa: FBT001
    values = _quantise(row, dtype)
    return base64.b64encode(values.tobytes()).decode() if packed else values.tolist()


def _quantise(row: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """Components of a unit vector as Mistral's ``output_dtype`` names them."""
    match dtype:
        case "int8":
            return np.round(row * 127).astype(np.int8)
        case "uint8":
            return np.round((row + 1) * 127.5).astype(np.uint8)
        case "ubinary":
            return np.packbits(row > 0)
        case "binary":
            return (np.packbits(row > 0).astype(np.int16) - 128).astype(np.int8)
    return row
