"""What of a conversation a model is told when it answers next."""

from collections.abc import Sequence

from ponant.assistant.grounding import refers_back
from ponant.assistant.schemas import Answered, Entry, Said
from ponant.kit import PonantError
from ponant.serving.port import TextModel
from ponant.text.messages import Message, Role

_BYTES_PER_TOKEN = 3  # a low guess, where a model cannot count
_TOKENS_PER_TURN = 8  # what a template puts around a message
_FOR_THE_ANSWER = 512


def messages(entries: Sequence[Entry], instructions: str | None) -> tuple[Message, ...]:
    """The conversation as messages; citations and searches are left out.

    So are answers that rest on a document that is gone or closed to the reader since.
    """
    said = [_message(entry) for entry in entries]
    system = [Message(role=Role.SYSTEM, content=instructions)] if instructions else []
    return (*system, *(message for message in said if message is not None))


def standalone(entries: Sequence[Entry]) -> str:
    """The last question, with the one before it where it means nothing without."""
    asked = [
        entry.content.text
        for entry in entries
        if isinstance(entry.content, Said) and entry.content.role is Role.USER
    ]
    if len(asked) > 1 and refers_back(asked[-1]):
        return f"{asked[-2]} {asked[-1]}"
    return asked[-1] if asked else ""


async def fitted(
    said: tuple[Message, ...], model: TextModel, max_tokens: int | None
) -> tuple[tuple[Message, ...], int]:
    """The messages that fit the model's context beside an answer, and how many were dropped.

    The oldest go first; instructions and the question always stay, and where these alone are too
    long the model refuses them by name.
    """
    limit = model.card.context_length
    if limit == 0:
        return said, 0
    room = limit - min(max_tokens or _FOR_THE_ANSWER, limit // 2)
    kept: list[Message] = []
    fixed = [message for message in said[:-1] if message.role is Role.SYSTEM]
    for message in (*fixed, said[-1]):
        room -= await _length(message, model)
    others = [message for message in said[:-1] if message.role is not Role.SYSTEM]
    for message in reversed(others):
        room -= await _length(message, model)
        if room < 0:
            break
        kept.insert(0, message)
    # An answer without its question would only puzzle.
    while kept and kept[0].role is Role.ASSISTANT:
        kept.pop(0)
    return (*fixed, *kept, said[-1]), len(others) - len(kept)


async def _length(message: Message, model: TextModel) -> int:
    try:
        return len(await model.tokenize(message.content)) + _TOKENS_PER_TURN
    except PonantError:
        return len(message.content.encode()) // _BYTES_PER_TOKEN + _TOKENS_PER_TURN


def _message(entry: Entry) -> Message | None:
    match entry.content:
        case Said(role=role, text=text):
            return Message(role=role, content=text)
        case Answered() as answer if answer.text and not answer.withheld:
            return Message(role=Role.ASSISTANT, content=answer.text)
        case _:
            return None
