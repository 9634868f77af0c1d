"""Tokens in, tokens out. No text, no users, no HTTP, no SQL; importing it pulls in no torch."""

from ponant.engine.port import (
    Capabilities,
    Constraint,
    ConstraintFactory,
    Encoder,
    Engine,
    EngineInfo,
    Event,
    FinishReason,
    QueueFull,
    Request,
    Reranker,
    Sampling,
    Tag,
    Token,
    Usage,
)

__all__ = [
    "Capabilities",
    "Constraint",
    "ConstraintFactory",
    "Encoder",
    "Engine",
    "EngineInfo",
    "Event",
    "FinishReason",
    "QueueFull",
    "Request",
    "Reranker",
    "Sampling",
    "Tag",
    "Token",
    "Usage",
]
