"""Which model runs where: worker processes, their supervisor, and upstream servers.

Names are imported at their first use: a worker, whose main is in here, needs no database and no
HTTP, and there may be many workers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ponant.serving.backend import choose
    from ponant.serving.models import Models
    from ponant.serving.remotes import list_models
    from ponant.serving.upstreams import Upstream, Upstreams

__all__ = ["Models", "Upstream", "Upstreams", "choose", "list_models"]

_HOMES = {
    "Models": "models",
    "Upstream": "upstreams",
    "Upstreams": "upstreams",
    "choose": "backend",
    "list_models": "remotes",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
