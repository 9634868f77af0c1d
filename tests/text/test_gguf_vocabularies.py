"""Vocabularies of both kinds that GGUF files hold, in small files made here."""

from itertools import pairwise
from pathlib import Path

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from ponant.kit.errors import SetupError
from ponant.text.tokenizer import Tokenizer, load_tokenizer
from ponant.text.vocabularies.patterns import pattern_for

_CORPUS = [
    "The ponant is the west wind.",
    "Le vent d'ouest, 1234 nœuds !",
    "It's 10:30, isn't it?\n",
]
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6


def _write(path: Path, model: str, tokens: dict[str, int], **more: object) -> Path:
    """A GGUF file with a vocabulary and no weights; ``tokens`` maps text to token type."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    writer.add_token_list(list(tokens))
    writer.add_token_types(list(tokens.values()))
    for name, value in more.items():
        getattr(writer, name)(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module", params=["llama-bpe", "qwen2", "gpt-2", "tekken", "smollm"])
def trained(request: pytest.FixtureRequest) -> tuple[str, Backend]:
    """A byte-level tokenizer trained by the `tokenizers` library, split as a family does it."""
    pattern = pattern_for(request.param)
    backend = Backend(models.BPE())
    splits = [pre_tokenizers.Split(Regex(regex), "isolated") for regex in pattern.splits]
    bytes_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([*splits, bytes_level])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    backend.train_from_iterator(_CORPUS * 4, trainer)
    return request.param, backend


@pytest.fixture(scope="module")
def byte_level(
    trained: tuple[str, Backend], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Backend, Tokenizer]:
    name, backend = trained
    folder = tmp_path_factory.mktemp("bytes")
    backend.save(str(folder / "tokenizer.json"))
    state = models.BPE.read_file(*backend.model.save(str(folder)))
    vocabulary, merges = state
    tokens = {text: _NORMAL for text, _ in sorted(vocabulary.items(), key=lambda item: item[1])}
    path = _write(
        folder / "model.gguf",
        "gpt2",
        tokens | {"<|im_start|>": _CONTROL, "<|im_end|>": _CONTROL, "<think>": _USER_DEFINED},
        add_tokenizer_pre=name,
        add_token_merges=[" ".join(merge) for merge in merges],
        add_eos_token_id=len(tokens) + 1,
    )
    return backend, load_tokenizer(path, folder / "cache")


@settings(max_examples=60, deadline=None)
@given(text=st.text() | st.lists(st.sampled_from(_CORPUS)).map(" ".join))
def test_byte_level_ids_equal_those_of_the_trained_tokenizer(
    byte_level: tuple[Backend, Tokenizer], text: str
) -> None:
    backend, tokenizer = byte_level
    clean = tokenizer.decode(tokenizer.encode(text))
    assert tokenizer.encode(clean) == backend.encode(clean, add_special_tokens=False).ids


def test_byte_level_specials(byte_level: tuple[Backend, Tokenizer]) -> None:
    _, tokenizer = byte_level
    start, end = tokenizer.special_id("<|im_start|>"), tokenizer.special_id("<|im_end|>")
    assert tokenizer.stop_tokens == (end,)
    assert tokenizer.encode("<|im_start|>x<|im_end|>", special=True)[0] == start
    assert start not in tokenizer.encode("<|im_start|>")
    assert tokenizer.decode(tokenizer.encode("<think>é</think>")) == "<think>é</think>"
    assert tokenizer.encode_prompt("x") == tokenizer.encode("x")


_PIECES = {"▁": -1.0, "a": -2.0, "b": -3.0, "ab": -4.0, "▁a": -5.0, "ba": -6.0, "aba": -7.0,
           "aa": -8.0, "▁ab": -9.0, "abab": -10.0}  # fmt: skip


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("pieces")
    tokens = {"<unk>": _UNKNOWN, "<s>": _CONTROL, "</s>": _CONTROL}
    tokens |= {f"<0x{byte:02X}>": _BYTE for byte in range(256)} | dict.fromkeys(_PIECES, _NORMAL)
    path = _write(
        folder / "model.gguf",
        "llama",
        tokens,
        add_token_scores=[0.0] * 259 + list(_PIECES.values()),
        add_bos_token_id=1,
        add_eos_token_id=2,
        add_unk_token_id=0,
    )
    return load_tokenizer(path, folder / "cache")


def _merge(text: str) -> list[str]:
    """SentencePiece's algorithm: join the best-scored neighbours until none is left."""
    parts = list("▁" + text.replace(" ", "▁"))
    while True:
        pairs = [(_PIECES.get(a + b), -at) for at, (a, b) in enumerate(pairwise(parts))]
        known = [pair for pair in pairs if pair[0] is not None]
        if not known:
            return parts
        at = -max(known)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


@settings(max_examples=200, deadline=None)
@given(text=st.text("ab é", min_size=1))
def test_sentencepiece_merges_by_score_and_spells_the_rest_in_bytes(
    sentencepiece: Tokenizer, text: str
) -> None:
    expected: list[str] = []
    for part in _merge(text):
        expected += [part] if part in _PIECES else [f"<0x{byte:02X}>" for byte in part.encode()]
    ids = sentencepiece.encode(text)
    assert [sentencepiece.name(token) for token in ids] == expected
    assert sentencepiece.decode(ids) == text
    assert sentencepiece.encode_prompt(text) == [1, *ids]


def test_a_damaged_cache_is_built_anew(tmp_path: Path) -> None:
    tokens = {"<unk>": _UNKNOWN, "a": _NORMAL}
    more = {"add_token_scores": [0.0, -1.0], "add_unk_token_id": 0}
    path = _write(tmp_path / "model.gguf", "llama", tokens, **more)
    first = load_tokenizer(path, tmp_path / "cache")
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:30])
    again = load_tokenizer(path, tmp_path / "cache")
    assert again.details == first.details
    assert again.encode("a") == first.encode("a")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    more = {"add_token_scores": [0.0, -1.0], "add_unk_token_id": 0}
    path = tmp_path / "model.gguf"
    for letter in "ab":
        _write(path, "llama", {"<unk>": _UNKNOWN, letter: _NORMAL}, **more)
        assert load_tokenizer(path, tmp_path / "cache").name(1) == letter


@pytest.mark.parametrize("model", ["bert", "rwkv"])
def test_an_unknown_kind_is_refused_by_name(tmp_path: Path, model: str) -> None:
    path = _write(tmp_path / "model.gguf", model, {"a": _NORMAL})
    with pytest.raises(SetupError, match=model):
        load_tokenizer(path, tmp_path / "cache")
