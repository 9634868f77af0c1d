"""Grammars over every kind of vocabulary: what is drawn under them is what they promise."""

import json
import random
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from ponant.text import ENVELOPE, MISTRAL, MISTRAL_NAMED, Tool, ToolCallParser, ToolStyle, grammar
from ponant.text.tokenizer import Tokenizer, load_tokenizer
from tests.text.test_mistral import write_vocabulary

_WALKS = 8
_REGEX = r"[0-9]{4}-[A-Zé]{2,5}(end|fin)"
_SCHEMA = {
    "type": "object",
    "properties": {"port": {"enum": ["Brest", "Sète"]}, "boats": {"type": "boolean"}},
    "required": ["port", "boats"],
    "additionalProperties": False,
}
_TOOL = Tool(name="weather", parameters={"properties": {"city": {"enum": ["Brest", "Nîmes"]}},
             "required": ["city"], "additionalProperties": False})  # fmt: skip


def _mistral(kind: str, folder: Path) -> Tokenizer:
    write_vocabulary(kind, folder)
    return load_tokenizer(folder, folder / "cache")


def _bytes(folder: Path) -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: n for n, word in enumerate([*letters, "th", "he"])}
    backend = Backend(models.BPE(vocab=words, merges=[("t", "h"), ("h", "e")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<|im_end|>"])
    backend.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
    return load_tokenizer(folder, folder / "cache")


_KINDS: dict[str, tuple[Callable[[Path], Tokenizer], ToolStyle]] = {
    "sentencepiece": (partial(_mistral, "v3"), MISTRAL),
    "tekken": (partial(_mistral, "v13"), MISTRAL_NAMED),
    "bytes": (_bytes, ENVELOPE),
}


@pytest.mark.parametrize("kind", _KINDS)
def test_regex_schema_and_tool_calls_hold(kind: str, tmp_path: Path) -> None:
    load, style = _KINDS[kind]
    tokenizer = load(tmp_path)
    constraints = grammar.constraint_factory(tokenizer)

    def walked(source: str) -> list[str]:
        """Texts of tokens drawn at random from those allowed, to the end of the grammar."""
        texts = []
        for seed in range(_WALKS):
            draw, constraint, ids = random.Random(seed), constraints(source), list[int]()
            while not constraint.complete:
                bits = np.unpackbits(constraint.mask().view(np.uint8), bitorder="little")
                token = draw.choice(np.flatnonzero(bits).tolist())
                assert constraint.accept(token)
                ids.append(token)
            ids = [token for token in ids if token not in tokenizer.stop_tokens]
            texts.append(tokenizer.decode(ids))
        return texts

    assert all(re.fullmatch(_REGEX, text) for text in walked(grammar.regex(_REGEX)))
    for text in walked(grammar.json_schema(_SCHEMA)):
        jsonschema.validate(json.loads(text), _SCHEMA)
    calling = grammar.tool_call([_TOOL], "any", style)
    constraint = constraints(calling)
    forced = list(constraint.forced())
    assert all(map(constraint.accept, forced))
    marks = {tokenizer.special_id(name) for name in ("[TOOL_CALLS]", "[ARGS]")} - {None}
    assert marks <= {*forced}, "a call begins with the model's own marks"
    for text in walked(calling):
        parser = ToolCallParser(style, [_TOOL.name])
        before, calls = parser.feed(text)
        after, late = parser.finish()
        (call,) = (*calls, *late)
        assert (before + after, call.name) == ("", "weather")
        jsonschema.validate(json.loads(call.arguments), _TOOL.parameters)
