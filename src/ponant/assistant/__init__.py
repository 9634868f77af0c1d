"""Conversations, and answers that cite what they rest on."""

from ponant.assistant.runs import Run
from ponant.assistant.schemas import (
    Answered,
    Ask,
    Conversation,
    Done,
    Entry,
    Event,
    Failed,
    Said,
    SearchDone,
    Searched,
    SearchStarted,
    Setup,
    Source,
    Spoken,
    Started,
    joined,
)
from ponant.assistant.service import Assistant

__all__ = [
    "Answered",
    "Ask",
    "Assistant",
    "Conversation",
    "Done",
    "Entry",
    "Event",
    "Failed",
    "Run",
    "Said",
    "SearchDone",
    "SearchStarted",
    "Searched",
    "Setup",
    "Source",
    "Spoken",
    "Started",
    "joined",
]
