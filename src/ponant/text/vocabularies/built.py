"""What every builder of a tokenizer hands over."""

from typing import NamedTuple

import msgspec
from tokenizers import Tokenizer as Backend


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What a tokenizer's file says beside its vocabulary.

    Attributes:
        bos: the token that begins a text, where there is one.
        eos: the token that ends a text, where there is one.
        stop_tokens: ids that end an answer: the end of a text, the end of a turn.
        prefix: ids that the model expects before a text.
        suffix: ids that the model expects after a text; encoders have them.
        between: ids that the model expects between the two texts of a pair.
        vocabulary_size: number of token ids.
        space_prefix: whether a text is encoded as if a space stood before it.
        chat_template: Jinja source that came with the model, or None.
        mistral: the version of Mistral's chat format that the vocabulary goes with, or None.
    """

    bos: int | None = None
    eos: int | None = None
    stop_tokens: tuple[int, ...] = ()
    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()
    between: tuple[int, ...] = ()
    vocabulary_size: int
    space_prefix: bool = False
    chat_template: str | None = None
    mistral: str | None = None


class Built(NamedTuple):
    """A tokenizer of the `tokenizers` library with what it does not hold itself."""

    backend: Backend
    details: Details


END_OF_TURN = frozenset(
    {
        "</s>",
        "<EOT>",
        "<end_of_turn>",
        "<eos>",
        "<|end_of_text|>",
        "<|end|>",
        "<|endoftext|>",
        "<|eom_id|>",
        "<|eot_id|>",
        "<|im_end|>",
        "<|return|>",
    }
)
"""Special tokens that end an answer, whatever the model's file says of them."""
