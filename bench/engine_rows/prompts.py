"""Prompts for the rows: real text as the starter's tokens, or random ids."""

import html
import random
import re
from functools import cache
from typing import Final

from tokenizers import Tokenizer

from bench.engine_models.catalogue import Model, starter_tokenizer
from bench.engine_peers.environments import text_folder

BEGIN: Final = 2  # the starter's <bos>; the random models share its vocabulary
_FIRST_WORD: Final = 300  # ids below are control tokens and bytes
_DROPPED: Final = re.compile(r"<(script|style|table|pre)\b.*?</\1>", re.DOTALL)
_TAG: Final = re.compile(r"<[^>]+>")
_SPACE: Final = re.compile(r"\s+")


def random_prompt(model: Model, length: int, seed: int) -> list[int]:
    """No engine can know it from before, and no draft can guess it."""
    draw = random.Random(seed)
    words = (draw.randrange(_FIRST_WORD, model.vocabulary) for _ in range(length - 1))
    return [BEGIN, *words]


@cache
def real_text() -> str:
    """Debian's reference manual as running text, without its tables and listings."""
    pages = sorted(text_folder().glob("ch*.en.html"))
    if not pages:
        raise FileNotFoundError(f"no manual lies in {text_folder()}")
    bare = (_TAG.sub(" ", _DROPPED.sub(" ", page.read_text())) for page in pages)
    return _SPACE.sub(" ", html.unescape(" ".join(bare)))


@cache
def real_tokens() -> list[int]:
    """The manual as the starter's tokens, without a beginning."""
    tokenizer = Tokenizer.from_file(str(starter_tokenizer()))
    return list(tokenizer.encode(real_text(), add_special_tokens=False).ids)


def windows(count: int, length: int) -> list[list[int]]:
    """Pieces of real text that follow each other, every one opened by the beginning token.

    Raises:
        ValueError: there is not so much text.
    """
    tokens, inner = real_tokens(), length - 1
    if count * inner > len(tokens):
        raise ValueError(f"the text has {len(tokens)} tokens and {count * inner} are wanted")
    return [[BEGIN, *tokens[i * inner : (i + 1) * inner]] for i in range(count)]
