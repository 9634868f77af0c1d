"""The tokenizers of the two embedders."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.kit.errors import SetupError
from ponant.text.tokenizer import PackedTokenizer, UnigramTokenizer, load_tokenizer
from ponant.text.vocabularies import e5

pytestmark = pytest.mark.model

_TEXTS = (
    "",
    "   ",
    "query: how much protein should a female eat",
    "passage: Où est la bibliothèque ?  L'été…",
    "你好世界,今天天气怎么样?",
    "ﬁne \uff46\uff55 ½ ㌔",
    "tab\tand\nnewline\r\n",
    "𐎀𐎁 unknown 𐎂",
    "▁x ▁▁y",
)


@pytest.fixture(scope="module")
def e5_path(models_home: Path) -> Path:
    return models_home / "models" / "embed" / "e5-small-q4.bin"


@pytest.fixture(scope="module")
def tokenizer(e5_path: Path) -> UnigramTokenizer:
    return UnigramTokenizer(*e5.build(e5_path))


@pytest.fixture(scope="module")
def packed(e5_path: Path, tmp_path_factory: pytest.TempPathFactory) -> PackedTokenizer:
    loaded = load_tokenizer(e5_path, tmp_path_factory.mktemp("cache"))
    assert isinstance(loaded, PackedTokenizer)
    return loaded


_SOME_TEXT = st.text(
    st.one_of(
        st.sampled_from(" ▁\t\n<s>/"),
        st.characters(codec="utf-8", max_codepoint=0x2FF),
        st.characters(codec="utf-8"),
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=300)
@given(_SOME_TEXT)
def test_the_packed_vocabulary_gives_the_same_ids(
    tokenizer: UnigramTokenizer, packed: PackedTokenizer, text: str
) -> None:
    assert packed.encode(text) == tokenizer.encode(text)


def test_the_packed_vocabulary_reads_real_text_alike(
    tokenizer: UnigramTokenizer, packed: PackedTokenizer
) -> None:
    text = (Path(__file__).parent.parent / "engine" / "texts.txt").read_text(encoding="utf-8")
    for some in (*_TEXTS, text, text.upper(), "Straße 東京タワー ελληνικά عربى 한국어 ไทย " * 9):
        ids = tokenizer.encode_prompt(some)
        assert packed.encode_prompt(some) == ids
        assert packed.decode(ids) == tokenizer.decode(ids)
        assert packed.encode_prompts([some, "a"]) == [ids, tokenizer.encode_prompt("a")]
    assert packed.vocabulary_size == tokenizer.vocabulary_size
    for token in (0, 3, 5, 1234, 250_001):
        assert packed.piece(token) == tokenizer.piece(token)
    with pytest.raises(ValueError, match="no token"):
        packed.piece(250_002)


def test_a_file_cut_short_is_refused(e5_path: Path, tmp_path: Path) -> None:
    whole = e5_path.read_bytes()
    for size in (3, 20, 60, 500_000, 3_000_000):
        (tmp_path / "cut.bin").write_bytes(whole[:size])
        with pytest.raises(SetupError):
            e5.pack(tmp_path / "cut.bin")


def _best_path(vocabulary: dict[str, tuple[int, float]], unknown: int, text: str) -> float:
    """Score of the likeliest way to part a text, by plain dynamic programming."""
    penalty = min(score for _, score in vocabulary.values()) - 10
    best = [0.0] + [float("-inf")] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(max(0, end - 48), end):
            found = vocabulary.get(text[start:end])
            if found and found[0] != unknown:
                best[end] = max(best[end], best[start] + found[1])
        best[end] = max(best[end], best[end - 1] + penalty)
    return best[-1]


def test_segmentations_are_the_likeliest(e5_path: Path, tokenizer: UnigramTokenizer) -> None:
    built, unigram = e5.build(e5_path)
    state = e5.read_pieces(e5_path)
    vocabulary = {piece: (index, score) for index, (piece, score) in enumerate(state)}
    scores = [score for _, score in state]
    unknown = tokenizer.backend.token_to_id(" <unk>")
    penalty = min(scores) - 10
    draw = random.Random(3)
    mixed = ["".join(draw.sample(_TEXTS, 3)) for _ in range(40)]
    for text in (*_TEXTS, *mixed):
        ids = tokenizer.encode(text)
        score = sum(penalty if token == unknown else scores[token] for token in ids)
        best = _best_path(vocabulary, unknown, unigram.normalise(text))
        assert score == pytest.approx(best, abs=1e-3), repr(text)
    assert built.details.vocabulary_size == len(scores)


def test_known_ids_of_xlm_roberta(tokenizer: UnigramTokenizer) -> None:
    # From the model card's own example, as transformers' XLMRobertaTokenizer encodes it.
    assert tokenizer.encode_prompt("Hello world") == [0, 35378, 8999, 2]


def test_every_unknown_character_is_a_token(tokenizer: UnigramTokenizer) -> None:
    unknown = tokenizer.backend.token_to_id(" <unk>")
    assert tokenizer.encode("𐎀𐎁").count(unknown) == 2


def test_special_tokens_cannot_be_typed(tokenizer: UnigramTokenizer) -> None:
    for typed in ("<s>", "</s>", "<pad>", "<mask>", " </s>", "a</s>b"):
        assert not {0, 1, 2, 250001} & set(tokenizer.encode(typed)), typed


def test_long_texts_are_neither_cut_nor_padded(models_home: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(models_home / "models" / "embed-en", tmp_path)
    assert len(tokenizer.encode("word " * 1000)) == 1000
    assert len(tokenizer.encode("word")) == 1
    framed = tokenizer.encode_prompt("Hello [SEP] world")
    assert framed[0] == 101
    assert framed[-1] == 102
    assert 102 not in framed[1:-1]
