"""Watches: questions that are kept answered, and told of when the answer changes."""

from ponant.assistant.watches.schemas import (
    Answer,
    Delivery,
    MovedPassage,
    Setup,
    Watch,
    WatchEvent,
)
from ponant.assistant.watches.service import Watches

__all__ = [
    "Answer",
    "Delivery",
    "MovedPassage",
    "Setup",
    "Watch",
    "WatchEvent",
    "Watches",
]
