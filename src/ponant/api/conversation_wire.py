"""Conversations, entries and events as Mistral's client reads them.

What Ponant adds stands in fields of its own: a citation's ``number``, ``passage_id``, ``hash`` and
``library_id``, and an object ``ponant``.
"""

import json
from typing import Any
from urllib.parse import quote

import msgspec

from ponant.api import sse
from ponant.assistant import (
    Answered,
    Conversation,
    Done,
    Entry,
    Event,
    Failed,
    Said,
    SearchDone,
    Searched,
    SearchStarted,
    Source,
    Spoken,
    Started,
    joined,
)
from ponant.engine import Usage
from ponant.kit import PonantError

_TOOL = "document_library"


def conversation(one: Conversation) -> dict[str, Any]:
    tools = [{"type": _TOOL, "library_ids": list(one.library_ids)}] if one.library_ids else []
    return {
        "object": "conversation",
        "id": one.id,
        "name": one.name,
        "description": one.description,
        "model": one.model,
        "instructions": one.instructions,
        "tools": tools,
        "completion_args": one.completion_args,
        "metadata": one.extra | {"library_ids": list(one.library_ids)},
        "created_at": one.created_at.isoformat(),
        "updated_at": one.updated_at.isoformat(),
    }


def entry(one: Entry) -> dict[str, Any]:
    """An entry of a history."""
    fields = {
        "object": "entry",
        "id": one.id,
        "created_at": one.created_at.isoformat(),
        "completed_at": one.completed_at.isoformat() if one.completed_at else None,
    }
    match one.content:
        case Said(role=role, text=text):
            said = {"type": "message.input", "role": role.value, "content": text, "prefix": False}
            return fields | said
        case Searched() as found:
            return fields | {
                "type": "tool.execution",
                "name": _TOOL,
                "arguments": _arguments(found.query),
                "info": _info(found),
            }
        case Answered() as answer:
            return fields | {
                "type": "message.output",
                "role": "assistant",
                "model": answer.model,
                "content": _content(answer.content),
                "ponant": {
                    "state": answer.state,
                    "forgotten": answer.forgotten,
                    "tokens_per_second": answer.tokens_per_second,
                },
            }


def response(conversation_id: str, events: list[Event]) -> dict[str, Any]:
    """A whole answer, from all the events that told of it."""
    outputs: list[dict[str, Any]] = []
    pieces: list[str | Source] = []
    body: dict[str, Any] = {
        "object": "conversation.response",
        "conversation_id": conversation_id,
        "outputs": outputs,
    }
    for event in events:
        match event:
            case SearchDone(entry_id=found_id, found=found, at=at):
                one = Entry(id=found_id, content=found, created_at=at, completed_at=at)
                outputs.append(entry(one))
            case Spoken(entry_id=spoken_id, model=model, piece=piece, at=at):
                if not pieces:
                    outputs.append({})
                pieces.append(piece)
                answer = Answered(model=model, content=joined(pieces))
                outputs[-1] = entry(
                    Entry(id=spoken_id, content=answer, created_at=at, completed_at=at)
                )
            case Done(usage=usage) as done:
                body |= {"usage": _usage(usage), "ponant": _about(done)}
    return body


def frame(number: int, event: Event) -> bytes:
    """An event as it is sent, under its number."""
    data = _event(event)
    return sse.frame(data, event=str(data["type"]), number=number)


def error_frame(error: PonantError) -> bytes:
    """The last event of an answer that breaks in mid-stream."""
    kind = "conversation.response.error"
    return sse.frame({"type": kind, "message": error.message, "code": error.status}, event=kind)


def _event(event: Event) -> dict[str, Any]:
    at = event.at.isoformat()
    match event:
        case Started(conversation_id=conversation_id):
            return {
                "type": "conversation.response.started",
                "created_at": at,
                "conversation_id": conversation_id,
            }
        case SearchStarted(entry_id=entry_id, query=query):
            return {
                "type": "tool.execution.started",
                "id": entry_id,
                "output_index": 0,
                "created_at": at,
                "name": _TOOL,
                "arguments": _arguments(query),
            }
        case SearchDone(entry_id=entry_id, found=found):
            return {
                "type": "tool.execution.done",
                "id": entry_id,
                "output_index": 0,
                "created_at": at,
                "name": _TOOL,
                "info": _info(found),
            }
        case Spoken() as spoken:
            return {
                "type": "message.output.delta",
                "id": spoken.entry_id,
                "output_index": spoken.output_index,
                "content_index": spoken.content_index,
                "model": spoken.model,
                "role": "assistant",
                "created_at": at,
                "content": _piece(spoken.piece),
            }
        case Done(usage=usage) as done:
            return {
                "type": "conversation.response.done",
                "created_at": at,
                "usage": _usage(usage),
                "ponant": _about(done),
            }
        case Failed(fault=fault):
            return {
                "type": "conversation.response.error",
                "created_at": at,
                "message": fault.message,
                "code": fault.status,
            }


def _content(content: tuple[str | Source, ...]) -> str | list[dict[str, Any]]:
    if all(isinstance(piece, str) for piece in content):
        return "".join(piece for piece in content if isinstance(piece, str))
    pieces = [_piece(piece) for piece in content]
    return [{"type": "text", "text": one} if isinstance(one, str) else one for one in pieces]


def _piece(piece: str | Source) -> str | dict[str, Any]:
    if isinstance(piece, str):
        return piece
    withheld = {"withheld": "closed" if piece.closed else "gone"} if piece.withheld else {}
    return {
        "type": "tool_reference",
        "tool": _TOOL,
        "title": piece.document_name,
        "url": f"/v1/passages/{quote(piece.passage_id)}?library_id={quote(piece.library_id)}",
        "number": piece.number,
        "passage_id": piece.passage_id,
        "hash": piece.hash,
        "library_id": piece.library_id,
        **withheld,
    }


def _info(found: Searched) -> dict[str, Any]:
    return {
        "sources": [msgspec.to_builtins(source) for source in found.sources],
        "version": found.version,
        "as_of": found.as_of.isoformat(),
    }


def _about(done: Done) -> dict[str, Any]:
    return {
        "sources": [msgspec.to_builtins(source) for source in done.cited],
        "tokens_per_second": done.tokens_per_second,
        "state": done.state,
        "forgotten": done.forgotten,
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _arguments(query: str) -> str:
    return json.dumps({"query": query}, ensure_ascii=False)
