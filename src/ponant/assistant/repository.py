"""Conversations in the database."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from ponant.assistant.schemas import Content, Conversation, Entry
from ponant.assistant.tables import ConversationRow, EntryRow
from ponant.store import Scope, in_scope


def add_conversation(session: Session, scope: Scope, conversation: Conversation) -> None:
    fields = msgspec.structs.asdict(conversation)
    fields["library_ids"] = list(conversation.library_ids)
    session.add(
        ConversationRow(workspace_id=scope.workspace_id, person_id=scope.person_id, **fields)
    )
    session.flush()


def conversation(session: Session, scope: Scope, conversation_id: str) -> Conversation | None:
    row = session.scalar(
        select(ConversationRow).where(
            ConversationRow.id == conversation_id, in_scope(ConversationRow, scope)
        )
    )
    return None if row is None else _conversation(row)


def conversations(session: Session, scope: Scope, page: int, page_size: int) -> list[Conversation]:
    """A page of them, counted from 0, the one that was last spoken in first."""
    rows = session.scalars(
        select(ConversationRow)
        .where(in_scope(ConversationRow, scope))
        .order_by(ConversationRow.updated_at.desc(), ConversationRow.id.desc())
        .limit(page_size)
        .offset(page * page_size)
    )
    return [_conversation(row) for row in rows]


def remove_conversation(session: Session, scope: Scope, conversation_id: str) -> bool:
    """Remove it with its entries; False where it is not there."""
    session.execute(
        delete(EntryRow).where(
            EntryRow.conversation_id == conversation_id, in_scope(EntryRow, scope)
        )
    )
    gone = session.scalars(
        delete(ConversationRow)
        .where(ConversationRow.id == conversation_id, in_scope(ConversationRow, scope))
        .returning(ConversationRow.id)
    )
    return bool(gone.all())


def touch(session: Session, scope: Scope, conversation_id: str, now: datetime) -> bool:
    """Note that something was said now; False where the conversation is not there."""
    touched = session.scalars(
        update(ConversationRow)
        .where(ConversationRow.id == conversation_id, in_scope(ConversationRow, scope))
        .values(updated_at=now)
        .returning(ConversationRow.id)
    )
    return bool(touched.all())


def add_entries(
    session: Session, scope: Scope, conversation_id: str, entries: Sequence[Entry]
) -> None:
    """Append entries in their order."""
    last = session.scalar(
        select(func.max(EntryRow.position)).where(
            EntryRow.conversation_id == conversation_id, in_scope(EntryRow, scope)
        )
    )
    first = 0 if last is None else last + 1
    for position, entry in enumerate(entries, first):
        body = msgspec.to_builtins(entry.content)
        session.add(
            EntryRow(
                id=entry.id,
                conversation_id=conversation_id,
                workspace_id=scope.workspace_id,
                person_id=scope.person_id,
                position=position,
                kind=body["type"],
                body=body,
                created_at=entry.created_at,
                completed_at=entry.completed_at,
            )
        )


def entries(session: Session, scope: Scope, conversation_id: str) -> list[Entry]:
    rows = session.scalars(
        select(EntryRow)
        .where(EntryRow.conversation_id == conversation_id, in_scope(EntryRow, scope))
        .order_by(EntryRow.position)
    )
    return [
        Entry(
            id=row.id,
            content=msgspec.convert(row.body, Content),
            created_at=row.created_at,
            completed_at=row.completed_at,
        )
        for row in rows
    ]


def _conversation(row: ConversationRow) -> Conversation:
    return Conversation(
        id=row.id,
        name=row.name,
        description=row.description,
        model=row.model,
        instructions=row.instructions,
        library_ids=tuple(row.library_ids),
        completion_args=row.completion_args,
        extra=row.extra,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
