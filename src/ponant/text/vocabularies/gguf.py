"""Builds a tokenizer from the vocabulary inside a GGUF file.

The layout is llama.cpp's: ``tokenizer.ggml.model`` names the algorithm, ``.tokens``, ``.scores``,
``.token_type`` and ``.merges`` hold the vocabulary.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from ponant.kit.errors import SetupError
from ponant.text.vocabularies.built import END_OF_TURN, Built, Details
from ponant.text.vocabularies.patterns import pattern_for

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4
_SPACE = "▁"


def build(metadata: Mapping[str, Any]) -> Built:
    """Build the tokenizer that a GGUF file describes.

    Raises:
        SetupError: the file holds no vocabulary, or one of a kind that Ponant does not know.
    """
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not tokens:
        raise SetupError("This model file holds no vocabulary. Pull a complete GGUF file.")
    match metadata.get("tokenizer.ggml.model"):
        case "llama":
            backend = _sentencepiece(metadata)
        case "gpt2":
            backend = _byte_level(metadata)
        case other:
            raise SetupError(
                f"Ponant does not know the tokenizer {other!r} of this model file. "
                "Use a model whose tokenizer is 'llama' or 'gpt2'."
            )
    _add_tokens(backend, tokens, _kinds(metadata))
    return Built(backend, _details(metadata))


def _kinds(metadata: Mapping[str, Any]) -> list[int]:
    kinds = metadata.get("tokenizer.ggml.token_type")
    if kinds is None:
        return [_NORMAL] * len(metadata["tokenizer.ggml.tokens"])
    return [int(kind) for kind in kinds]


def _sentencepiece(metadata: Mapping[str, Any]) -> Backend:
    """SentencePiece's byte-pair encoding: scores instead of merges, bytes as a last resort."""
    tokens: Sequence[str] = metadata["tokenizer.ggml.tokens"]
    unknown = tokens[int(metadata.get("tokenizer.ggml.unknown_token_id", 0))]
    scores = metadata.get("tokenizer.ggml.scores")
    if scores is None or len(scores) != len(tokens):
        raise SetupError("This model file's vocabulary lacks its scores. Pull the file again.")
    normal = {
        token: float(score)
        for token, score, kind in zip(tokens, scores, _kinds(metadata), strict=True)
        if kind == _NORMAL
    }
    vocabulary = {token: index for index, token in enumerate(tokens)}
    backend = Backend(
        models.BPE(
            vocab=vocabulary,
            merges=merges_from_scores(normal, vocabulary),
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    spaces: list[normalizers.Normalizer] = [normalizers.Replace(" ", _SPACE)]
    if _space_prefix(metadata):
        spaces.insert(0, normalizers.Prepend(_SPACE))
    backend.normalizer = normalizers.Sequence(spaces)
    backend.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return backend


def merges_from_scores(
    scores: Mapping[str, float], vocabulary: Mapping[str, int]
) -> list[tuple[str, str]]:
    """The merges that SentencePiece's algorithm would make, the likeliest first.

    Only plain tokens take part, so that no merge ends in a special token or a byte token.
    """
    merges = [
        (-score, vocabulary[left], vocabulary[right], left, right)
        for token, score in scores.items()
        for left, right in _halves(token)
        if left in scores and right in scores
    ]
    merges.sort()
    return [(left, right) for *_, left, right in merges]


def _halves(token: str) -> Iterable[tuple[str, str]]:
    return ((token[:cut], token[cut:]) for cut in range(1, len(token)))


def _byte_level(metadata: Mapping[str, Any]) -> Backend:
    """GPT-2's byte-level byte-pair encoding with the splitting of the model's family."""
    tokens: Sequence[str] = metadata["tokenizer.ggml.tokens"]
    pattern = pattern_for(str(metadata.get("tokenizer.ggml.pre", "default")))
    backend = Backend(
        models.BPE(
            vocab={token: index for index, token in enumerate(tokens)},
            merges=[_pair(merge) for merge in metadata.get("tokenizer.ggml.merges", ())],
            ignore_merges=pattern.whole_words,
        )
    )
    if pattern.nfc:
        backend.normalizer = normalizers.NFC()
    steps: list[pre_tokenizers.PreTokenizer] = [
        pre_tokenizers.Split(Regex(regex), "isolated") for regex in pattern.splits
    ]
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
    backend.decoder = decoders.ByteLevel()
    return backend


def _pair(merge: str) -> tuple[str, str]:
    left, _, right = merge.partition(" ")
    return left, right


def _add_tokens(backend: Backend, tokens: Sequence[str], kinds: Sequence[int]) -> None:
    """Tell the tokens that stand whole in a text: special ones, and those the maker defined."""
    special, plain = [], []
    for token, kind in zip(tokens, kinds, strict=True):
        if kind in (_CONTROL, _UNKNOWN):
            special.append(AddedToken(token, normalized=False, special=True))
        elif kind == _USER_DEFINED:
            plain.append(AddedToken(token, normalized=False))
    backend.add_special_tokens(special)
    backend.add_tokens(plain)


def _space_prefix(metadata: Mapping[str, Any]) -> bool:
    """Whether a text gets a leading space; SentencePiece files that do not say so do."""
    default = metadata.get("tokenizer.ggml.model") == "llama"
    return bool(metadata.get("tokenizer.ggml.add_space_prefix", default))


def _details(metadata: Mapping[str, Any]) -> Details:
    bos, eos = _token(metadata, "bos"), _token(metadata, "eos")
    default_bos = metadata.get("tokenizer.ggml.model") == "llama"
    begins = bool(metadata.get("tokenizer.ggml.add_bos_token", default_bos))
    return Details(
        bos=bos,
        eos=eos,
        stop_tokens=_stop_tokens(metadata),
        prefix=(bos,) if begins and bos is not None else (),
        vocabulary_size=len(metadata["tokenizer.ggml.tokens"]),
        space_prefix=_space_prefix(metadata),
        chat_template=metadata.get("tokenizer.chat_template"),
    )


def _token(metadata: Mapping[str, Any], name: str) -> int | None:
    value = metadata.get(f"tokenizer.ggml.{name}_token_id")
    if value is None or not 0 <= int(value) < len(metadata["tokenizer.ggml.tokens"]):
        return None
    return int(value)


def _stop_tokens(metadata: Mapping[str, Any]) -> tuple[int, ...]:
    named = {_token(metadata, name) for name in ("eos", "eot", "eom")}
    known = {
        index
        for index, (token, kind) in enumerate(
            zip(metadata["tokenizer.ggml.tokens"], _kinds(metadata), strict=True)
        )
        if kind == _CONTROL and token in END_OF_TURN
    }
    return tuple(sorted(known | {token for token in named if token is not None}))
