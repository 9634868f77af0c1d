"""What people, tools and models say to each other, in one form for every wire format."""

from enum import StrEnum
from typing import Any

import msgspec


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that a model makes; ``arguments`` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One turn. ``prefix`` stands on a final assistant message that the answer continues."""

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    prefix: bool = False


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that a model may call; ``parameters`` is a JSON Schema."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}
    strict: bool = False


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a document that an answer may rest on; numbered from 1 in the order given."""

    title: str
    text: str
