"""Live knowledge: libraries and tables that follow their sources, and the search over them.

A pipeline file says ``from ponant import live`` and declares sources, transforms and what is kept.
"""

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
    "EVERYBODY",
    "Checkpoint",
    "Deleted",
    "Document",
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
