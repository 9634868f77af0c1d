"""Whether the server is ready, for those who balance loads and restart machines."""

from typing import Any

from fastapi import APIRouter

from ponant.api.platform import Services
from ponant.kit.errors import Unavailable

router = APIRouter(tags=["operation"])

_LIVE = "live knowledge"
_MENDING = 15  # seconds after which what failed may have been tried again


@router.get("/health", summary="Tell whether a request would succeed")
async def health(services: Services) -> dict[str, Any]:
    """Answers 200 once the models that start with the server are ready, and 503 before.

    The message tells what is still starting from what cannot start. It needs no key and names
    nothing but the state.
    """
    waiting, failed = services.models.waiting(), services.models.failed()
    if not services.live.ready:
        waiting = [*waiting, _LIVE]
        failed = [*failed, _LIVE] if services.live.missing else failed
    if failed:
        raise Unavailable(
            f"Not ready, and waiting may not help: {', '.join(failed)} cannot start. The server's "
            "log says why, and `ponant doctor` what is missing; start the server again once that "
            "is mended.",
            retry_after=_MENDING,
        )
    if waiting:
        raise Unavailable(
            f"Not ready yet: {', '.join(waiting)} still starting. Try again in a moment.",
            retry_after=1,
        )
    return {"status": "ok"}
