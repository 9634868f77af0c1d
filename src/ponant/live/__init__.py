"""Live knowledge: libraries and tables that follow their sources, and the search over them.

A pipeline file says ``from ponant import live`` and declares sources, transforms and what is kept.
Names are imported when they are first used, since this package is also imported by processes that
must start fast and stay small.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ponant.live.client import LiveClient
    from ponant.live.pipelines.declaring import (
        csv,
        documents,
        folder,
        kafka,
        library,
        parquet,
        postgres,
        push,
        query,
        source,
        table,
        transform,
        view,
        window,
    )
    from ponant.live.pipelines.items import EVERYBODY, Checkpoint, Deleted, Document
    from ponant.live.port import PassageRef

__all__ = [
    "Checkpoint",
    "Deleted",
    "Document",
    "EVERYBODY",
    "LiveClient",
    "PassageRef",
    "csv",
    "documents",
    "folder",
    "kafka",
    "library",
    "parquet",
    "postgres",
    "push",
    "query",
    "source",
    "table",
    "transform",
    "view",
    "window",
]

_ELSEWHERE = {
    "EVERYBODY": "ponant.live.pipelines.items",
    "Checkpoint": "ponant.live.pipelines.items",
    "Deleted": "ponant.live.pipelines.items",
    "Document": "ponant.live.pipelines.items",
    "LiveClient": "ponant.live.client",
    "PassageRef": "ponant.live.port",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"ponant.live has no {name}")
    return getattr(import_module(_ELSEWHERE.get(name, "ponant.live.pipelines.declaring")), name)
