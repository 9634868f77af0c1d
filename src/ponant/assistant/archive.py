"""Where conversations are kept: each call is one transaction in somebody's scope."""

from collections.abc import Sequence

from ponant.assistant import repository
from ponant.assistant.schemas import Conversation, Entry
from ponant.kit import Clock
from ponant.kit.errors import NotFound
from ponant.store import Database, Scope


class Archive:
    """Reads and writes conversations. It asks the database: call it in a thread."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def list(self, scope: Scope, page: int, page_size: int) -> Sequence[Conversation]:
        """A page of conversations, the latest first."""
        with self._database.read() as session:
            return repository.conversations(session, scope, page, page_size)

    def get(self, scope: Scope, conversation_id: str) -> Conversation:
        """One conversation; NotFound where it is not in scope."""
        with self._database.read() as session:
            found = repository.conversation(session, scope, conversation_id)
        if found is None:
            raise _not_found(conversation_id)
        return found

    def entries(self, scope: Scope, conversation_id: str) -> Sequence[Entry]:
        """All that a conversation holds, in order; NotFound where it is not in scope."""
        with self._database.read() as session:
            if repository.conversation(session, scope, conversation_id) is None:
                raise _not_found(conversation_id)
            return repository.entries(session, scope, conversation_id)

    def open(self, scope: Scope, conversation: Conversation, entries: Sequence[Entry]) -> None:
        """Keep a new conversation with its first entries."""
        with self._database.write() as session:
            repository.add_conversation(session, scope, conversation)
            repository.add_entries(session, scope, conversation.id, entries)

    def add(self, scope: Scope, conversation_id: str, entries: Sequence[Entry]) -> None:
        """Append entries; NotFound where the conversation is not in scope, or not any more."""
        with self._database.write() as session:
            if not repository.touch(session, scope, conversation_id, self._clock.now()):
                raise _not_found(conversation_id)
            repository.add_entries(session, scope, conversation_id, entries)

    def remove(self, scope: Scope, conversation_id: str) -> None:
        """Remove a conversation with all that was said; NotFound where it is not in scope."""
        with self._database.write() as session:
            if not repository.remove_conversation(session, scope, conversation_id):
                raise _not_found(conversation_id)


def _not_found(conversation_id: str) -> NotFound:
    return NotFound(f"There is no conversation {conversation_id}, or it is not yours.")
