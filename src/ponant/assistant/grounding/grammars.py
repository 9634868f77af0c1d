"""Grammars (llguidance's Lark dialect) that leave a model only the citations it may make.

Square brackets are for citations alone: a number in brackets is one of those given, and any other
text in brackets begins with neither digit nor space.
"""

from collections.abc import Sequence

from ponant.text.grammar import choice

_OTHER_BRACKETS = r"/\[[^\[\]\s0-9][^\[\]\n]*\]/"


def citing(count: int) -> str:
    """Any text, in which the numbers from 1 to ``count`` may stand in brackets."""
    return (
        "start: (TEXT | CITATION | OTHER)+\n"
        r"TEXT: /[^\[\]]+/" + "\n"
        f"CITATION: {_numbers(range(1, count + 1))}\n"
        f"OTHER: {_OTHER_BRACKETS}\n"
    )


def citation_among(numbers: Sequence[int]) -> str:
    """Exactly one citation, with a space before it, of one of ``numbers``."""
    return f'start: " " CITATION\nCITATION: {_numbers(numbers)}\n'


def one_of(texts: Sequence[str]) -> str:
    """Exactly one of ``texts``; a model may begin it with a space, as after a colon."""
    return choice([*texts, *(f" {text}" for text in texts)])


def _numbers(numbers: Sequence[int]) -> str:
    return " | ".join(f'"[{number}]"' for number in numbers)
