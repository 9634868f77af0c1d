"""Prompts that ask a model for the text between two others."""

from ponant.text.tokenizer import Tokenizer

_PREFIX, _SUFFIX = "prefix", "suffix"

# What models were trained with: special tokens, and between them the two texts.
_TRAINED = (
    ("[SUFFIX]", _SUFFIX, "[PREFIX]", _PREFIX),
    ("<|fim_prefix|>", _PREFIX, "<|fim_suffix|>", _SUFFIX, "<|fim_middle|>"),
    ("<fim_prefix>", _PREFIX, "<fim_suffix>", _SUFFIX, "<fim_middle>"),
    ("<|fim_begin|>", _PREFIX, "<|fim_hole|>", _SUFFIX, "<|fim_end|>"),
)
_EXAMPLES = (
    ("def add(a, b):\n    return ", "\n\nprint(add(1, 2))", "a + b"),
    ("for name in names:\n    ", "\nprint('done')", "print(name)"),
    ("total = 0\nfor price in prices:\n    ", "\nreturn total", "total += price"),
)
PLAIN_END = "\n>>>"
"""The stop string of an answer to `plain_prompt`."""


def fim_prompt(tokenizer: Tokenizer, prefix: str, suffix: str) -> list[int] | None:
    """The prompt in the special tokens that the model was trained with; None where it has none."""
    for order in _TRAINED:
        marks = {name: tokenizer.special_id(name) for name in order if len(name) > len(_PREFIX)}
        if None in marks.values():
            continue
        ids = {name: [mark] for name, mark in marks.items() if mark is not None}
        ids |= {_PREFIX: tokenizer.encode(prefix), _SUFFIX: _inside(tokenizer, suffix)}
        return tokenizer.frame([token for name in order for token in ids[name]])
    return None


def _inside(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a text that does not begin one: without the space that stands before those."""
    if not tokenizer.details.space_prefix:
        return tokenizer.encode(text)
    # As mistral-common does it: behind a sign that merges with nothing, which takes two tokens.
    return tokenizer.encode("☺" + text)[2:]


def plain_prompt(prefix: str, suffix: str) -> str:
    """A prompt of worked examples, for a model without such tokens; it ends with `PLAIN_END`."""
    worked = [_hole(before, after) + middle + PLAIN_END for before, after, middle in _EXAMPLES]
    return "\n\n".join([*worked, _hole(prefix, suffix)])


def _hole(prefix: str, suffix: str) -> str:
    return f"Text with a hole:\n<<<\n{prefix}[HOLE]{suffix}{PLAIN_END}\nThe hole holds:\n<<<\n"
