"""How byte-level vocabularies split a text before they merge, by the name a GGUF file gives.

The regular expressions are those that the models were trained with; llama.cpp gives them the names.
"""

from typing import NamedTuple

import structlog

_log = structlog.get_logger(__name__)


class Pattern(NamedTuple):
    """Splits that follow one another; ``whole_words`` takes a word that is a token as it is."""

    splits: tuple[str, ...]
    whole_words: bool = False
    nfc: bool = False


_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CASED = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+"
_CAPITAL = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"

_GPT2 = Pattern((r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",))
_LLAMA3 = Pattern((rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}{{1,3}}|{_TAIL}",), whole_words=True)
_QWEN2 = Pattern((rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}|{_TAIL}",), nfc=True)
_TEKKEN = Pattern((rf"{_CASED}|{_CAPITAL}|\p{{N}}|{_CASED_TAIL}",), whole_words=True)
_GPT4O = Pattern(
    (rf"{_CASED}{_CONTRACTIONS}?|{_CAPITAL}{_CONTRACTIONS}?|\p{{N}}{{1,3}}|{_CASED_TAIL}",)
)
_SMOLLM = Pattern((r"\p{N}", *_GPT2.splits))

_PATTERNS = {
    "default": _GPT2,
    "gpt-2": _GPT2,
    "phi-2": _GPT2,
    "mpt": _GPT2,
    "olmo": _GPT2,
    "jina-v2-code": _GPT2,
    "gpt-4o": _GPT4O,
    "llama4": _GPT4O,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "llama-bpe": _LLAMA3,
    "falcon3": _LLAMA3,
    "dbrx": Pattern(_LLAMA3.splits),
    "smaug-bpe": Pattern(_LLAMA3.splits),
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "stablelm2": Pattern(_QWEN2.splits),
    "tekken": _TEKKEN,
    "pixtral": _TEKKEN,
    "smollm": _SMOLLM,
    "starcoder": _SMOLLM,
    "refact": _SMOLLM,
    "command-r": _SMOLLM,
    "codeshell": _SMOLLM,
}


def pattern_for(name: str) -> Pattern:
    """The splitting of that name; an unknown one gets GPT-2's, and the log says so."""
    pattern = _PATTERNS.get(name)
    if pattern is None:
        _log.warning("unknown_pre_tokenizer", name=name, used="gpt-2")
        return _GPT2
    return pattern
