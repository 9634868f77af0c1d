"""Log probabilities in the two shapes that OpenAI defines: for chat and for completions."""

from collections.abc import Sequence
from typing import Any

from ponant.serving.port import TextToken


def chat_logprobs(tokens: Sequence[TextToken]) -> dict[str, Any]:
    """The shape of chat completions: an entry a token, with its alternatives."""
    return {
        "content": [
            _entry(token.text, token.data, token.logprob)
            | {"top_logprobs": [_entry(text, data, value) for text, data, value in token.top]}
            for token in tokens
        ]
    }


def _entry(text: str, data: bytes, logprob: float | None) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(data)}


def completion_logprobs(tokens: Sequence[TextToken], offset: int = 0) -> dict[str, Any]:
    """The shape of legacy completions: parallel lists.

    Args:
        tokens: prompt (where it is echoed) and output.
        offset: characters that stand before the first token in the choice's text.
    """
    offsets: list[int] = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [
            {text: value for text, _, value in token.top} if token.top else None for token in tokens
        ],
        "text_offset": offsets,
    }
