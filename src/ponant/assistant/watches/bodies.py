"""Watches and their events as JSON, the same over HTTP, in a stream and at a webhook."""

from typing import Any

import msgspec

from ponant.assistant.watches.schemas import Answer, Watch, WatchEvent


def watch_body(watch: Watch) -> dict[str, Any]:
    """A watch with its present answer."""
    body: dict[str, Any] = msgspec.to_builtins(watch.setup)
    shown = msgspec.to_builtins(watch)
    names = ("id", "state", "reason", "version", "as_of", "created_at", "answered_at", "changed_at")
    counted = ("calls", "calls_today")
    return {
        "object": "watch",
        **body,
        **{name: shown[name] for name in (*names, *counted)},
        "answer": answer_body(watch.answer),
    }


def event_body(event: WatchEvent) -> dict[str, Any]:
    """An event: what was said, what is said now, and the passages that moved."""
    body: dict[str, Any] = msgspec.to_builtins(event)
    return {
        "object": "watch.event",
        **body,
        "old": answer_body(event.old),
        "new": answer_body(event.new),
    }


def answer_body(answer: Answer | None) -> dict[str, Any] | None:
    """An answer: its text, and its pieces, of which a source stands behind what it bears out."""
    if answer is None:
        return None
    body: dict[str, Any] = msgspec.to_builtins(answer)
    return {"text": answer.text, **body}
