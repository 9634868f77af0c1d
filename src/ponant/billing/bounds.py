"""The most tokens that a request may take, which is what its budget must have left.

Vocabularies fall back to single bytes at worst, so that a text has no more tokens than bytes. That
is four times what English takes; it is reserved for as long as the request runs, and what it did
take is counted then.
"""

from collections.abc import Sequence

import msgspec

from ponant.serving.port import ChatRequest, CompletionRequest, ModelCard

_TEMPLATE = 512  # what a chat template adds of its own; markers of turns are as long in JSON
_ANSWER = 4096  # where neither the request nor the model says how long an answer gets
_MARKERS = 8  # that an encoder puts around a text


def most_tokens(card: ModelCard, asked: ChatRequest | CompletionRequest) -> int:
    """Of a request to a model that generates."""
    if isinstance(asked, ChatRequest):
        said: object = asked.messages, asked.tools, asked.passages
    else:
        said = asked.prompt, asked.suffix
    prompt, answer = _length(said), asked.controls.max_tokens
    if not card.context_length:
        return prompt + (_ANSWER if answer is None else answer)
    most = card.context_length if answer is None else prompt + answer
    return min(most, card.context_length)


def most_of_several(card: ModelCard, said: object, answer: int) -> int:
    """Of several requests over one prompt, which counts once; ``answer`` is theirs together."""
    prompt = _length(said)
    return min(prompt, card.context_length or prompt) + answer


def most_read(card: ModelCard, texts: Sequence[str]) -> int:
    """Of texts that an encoder reads."""
    lengths = (len(text.encode("utf-8", "surrogatepass")) + _MARKERS for text in texts)
    return sum(min(one, card.context_length or one) for one in lengths)


def _length(said: object) -> int:
    return len(msgspec.json.encode(said)) + _TEMPLATE
