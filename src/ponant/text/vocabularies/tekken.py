"""Reads Tekken vocabularies (``tekken.json``), which Mistral's newer models come with.

The layout is mistral-common's: byte strings by rank, a splitting pattern, and special tokens that
take the first ids. The library itself is used in tests alone, as the judge.
"""

import base64
import binascii
import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from ponant.kit.errors import SetupError
from ponant.text.vocabularies.built import Built, Details
from ponant.text.vocabularies.pieces import byte_letters

FILE_NAME = "tekken.json"

# What files before v11 leave out; mistral-common names them as deprecated defaults.
_OLD_SPECIALS = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]",
    "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
)  # fmt: skip
_BOS, _EOS = "<s>", "</s>"


def build(path: Path) -> Built:
    """Build the tokenizer of a ``tekken.json``.

    Raises:
        SetupError: the file is damaged or of another layout.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        config = content["config"]
        specials = _specials(content, int(config["default_num_special_tokens"]))
        words = int(config["default_vocab_size"]) - len(specials)
        ranked = sorted(content["vocab"], key=lambda entry: int(entry["rank"]))[:words]
        pieces = [base64.b64decode(entry["token_bytes"]) for entry in ranked]
        backend = _backend(pieces, specials, str(config["pattern"]))
        version = str(config["version"])
    except (OSError, KeyError, TypeError, ValueError, binascii.Error) as e:
        raise SetupError(f"{path} cannot be read: {e}. Pull the model again.") from e
    bos, eos = specials.index(_BOS), specials.index(_EOS)
    details = Details(
        bos=bos,
        eos=eos,
        stop_tokens=(eos,),
        prefix=(bos,),
        vocabulary_size=len(specials) + len(pieces),
        mistral=version,
    )
    return Built(backend, details)


def _specials(content: dict[str, Any], count: int) -> list[str]:
    """The names of the special tokens by id; those without a name are numbered."""
    named = content.get("special_tokens") or [
        {"rank": rank, "token_str": name} for rank, name in enumerate(_OLD_SPECIALS)
    ]
    names = [f"<SPECIAL_{rank}>" for rank in range(count)]
    for entry in named:
        names[int(entry["rank"])] = str(entry["token_str"])
    return names


def _backend(pieces: list[bytes], specials: list[str], pattern: str) -> Backend:
    letters = byte_letters()
    words = ["".join(letters[byte] for byte in piece) for piece in pieces]
    vocabulary = {name: index for index, name in enumerate(specials)}
    vocabulary |= {word: len(specials) + rank for rank, word in enumerate(words)}
    backend = Backend(
        models.BPE(vocab=vocabulary, merges=_merges(words, vocabulary), ignore_merges=True)
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for name in specials]
    )
    return backend


def _merges(words: list[str], vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """The merges behind ranked words: a word is made of two others, in the order of its rank."""
    merges: list[tuple[str, str]] = []
    for word in words:
        halves = [
            (vocabulary[word[:cut]], vocabulary[word[cut:]], word[:cut], word[cut:])
            for cut in range(1, len(word))
            if word[:cut] in vocabulary and word[cut:] in vocabulary
        ]
        merges += [(left, right) for *_, left, right in sorted(halves)]
    return merges
