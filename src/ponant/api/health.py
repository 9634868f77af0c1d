"""Whether the server is ready, for those who balance loads and restart machines."""

from typing import Any

from fastapi import APIRouter

from ponant.api.platform import Services
from ponant.kit.errors import Unavailable

router = APIRouter(tags=["operation"])


@router.get("/health", summary="Tell whether a request would succeed")
async def health(services: Services) -> dict[str, Any]:
    """Answers 200 once the models that start with the server are ready, and 503 before.

    It needs no key and names nothing but the state.
    """
    waiting = services.models.waiting()
    if not services.live.ready:
        waiting = [*waiting, "live knowledge"]
    if waiting:
        raise Unavailable(
            f"Not ready yet: {', '.join(waiting)}. Try again in a moment.", retry_after=1
        )
    return {"status": "ok"}
