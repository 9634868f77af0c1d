"""Chooses, among a repository's files, those to bring: weights without code, and what they need."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from ponant.kit.errors import SetupError

# From what answers best in little memory to what merely works.
_QUANTISATIONS = ("Q4_K_M", "Q5_K_M", "Q4_K_S", "Q5_K_S", "Q4_0", "Q5_0", "Q6_K", "Q8_0", "BF16")
_SPLIT = re.compile(r"-(\d{5})-of-\d{5}(?=\.gguf$)")
_SHARD = re.compile(r"^model(-\d{5}-of-\d{5})?\.safetensors$")
_CONSOLIDATED = re.compile(r"^consolidated(-\d{5}-of-\d{5})?\.safetensors$")
_SHARD_INDEX = "model.safetensors.index.json"
_BESIDE_GGUF = re.compile(r"^(licen[cs]e|notice|use_policy|readme)(\.\w+)?$", re.IGNORECASE)
_BESIDE_SAFETENSORS = re.compile(
    r"^((1_Pooling/)?config|generation_config|(special_tokens|added_tokens)(_map)?|modules|params"
    r"|model\.safetensors\.index|sentence_bert_config|tekken|tokenizer(_config)?|vocab)\.json$"
    r"|^(chat_template\.(jinja|json)|merges\.txt|vocab\.txt|tokenizer\.model|[\w.-]+\.model\.v\d+\w*|spiece\.model"
    r"|sentencepiece\.bpe\.model)$"
)
_PICKLES = (".bin", ".ckpt", ".h5", ".msgpack", ".pickle", ".pkl", ".pt", ".pth")


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file on offer; ``sha256`` where the hub states one (it does for large files)."""

    path: str
    size: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The files to bring.

    Attributes:
        weights: the file to open; the first of several parts.
        reason: why these weights and not others, in a sentence, where there was a choice.
    """

    format: Literal["gguf", "safetensors"]
    weights: RepositoryFile
    files: tuple[RepositoryFile, ...]
    reason: str = ""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def choose(offered: Iterable[RepositoryFile], wanted: str | None = None) -> Choice:
    """The weights to bring and what goes with them.

    GGUF goes before safetensors, and those in Hugging Face's layout before Mistral's consolidated
    ones; among several GGUF files, a quantisation that answers well in little memory. Pickles and
    code are never chosen.

    Args:
        wanted: the path of the weights to take, or a part of a GGUF's name such as ``Q8_0``.

    Raises:
        SetupError: nothing fits.
    """
    files = sorted((file for file in offered if _is_plain(file.path)), key=lambda file: file.path)
    ggufs = [file for file in files if file.path.endswith(".gguf") and "mmproj" not in file.path]
    if wanted is not None:
        ggufs = _matching(ggufs, wanted)
    if ggufs:
        return _choose_gguf(ggufs, files, explain=wanted is None)
    for layout in (_SHARD, _CONSOLIDATED):
        parts = [file for file in files if layout.match(file.path)]
        if parts and (wanted is None or wanted in [file.path for file in parts]):
            return _choose_safetensors(parts, files)
    raise SetupError(_nothing_fits(files, wanted))


def _is_plain(path: str) -> bool:
    parts = PurePosixPath(path)
    return not parts.is_absolute() and ".." not in parts.parts and "\\" not in path


def _matching(ggufs: Sequence[RepositoryFile], wanted: str) -> list[RepositoryFile]:
    exact = [file for file in ggufs if file.path == wanted]
    return exact or [file for file in ggufs if wanted.lower() in file.path.lower()]


def _choose_safetensors(parts: Sequence[RepositoryFile], files: Sequence[RepositoryFile]) -> Choice:
    beside = [file for file in files if _goes_with_safetensors(file.path)]
    if _CONSOLIDATED.match(parts[0].path):  # the index names shards that stay where they are
        beside = [file for file in beside if file.path != _SHARD_INDEX]
    return Choice("safetensors", parts[0], (*beside, *parts))


def _goes_with_safetensors(path: str) -> bool:
    return bool(_BESIDE_SAFETENSORS.match(path) or _BESIDE_GGUF.match(path))


def _choose_gguf(
    ggufs: Sequence[RepositoryFile], files: Sequence[RepositoryFile], *, explain: bool
) -> Choice:
    firsts = [file for file in ggufs if _part(file.path) in {None, 1}]
    if not firsts:
        raise SetupError("The first part of these split weights is missing in the repository.")
    first = min(firsts, key=_preference)
    stem = _SPLIT.sub("", first.path)
    parts = [file for file in ggufs if _SPLIT.sub("", file.path) == stem]
    beside = [file for file in files if _BESIDE_GGUF.match(file.path)]
    reason = ""
    if explain and len(firsts) > 1:
        others = ", ".join(file.path for file in firsts if file is not first)
        reason = f"Taking {first.path}; there are also {others} (choose with --file)."
    return Choice("gguf", first, (*beside, *parts), reason)


def _part(path: str) -> int | None:
    match = _SPLIT.search(path)
    return int(match[1]) if match else None


def _preference(file: RepositoryFile) -> tuple[int, int]:
    name = file.path.upper()
    ranks = (rank for rank, label in enumerate(_QUANTISATIONS) if label in name)
    return next(ranks, len(_QUANTISATIONS)), file.size


def _nothing_fits(files: Sequence[RepositoryFile], wanted: str | None) -> str:
    weights = [f.path for f in files if f.path.endswith((".gguf", ".safetensors", *_PICKLES))]
    if wanted is not None:
        there = ", ".join(weights) or "no weights at all"
        return f"There are no weights called {wanted} that Ponant can use. There are: {there}."
    if any(path.endswith(_PICKLES) for path in weights):
        return (
            f"There are only weights that can run code when they are opened ({weights[0]}), and "
            "Ponant opens none of those. Look for the model as safetensors or GGUF."
        )
    return "There are no GGUF or safetensors weights here. Check the name."
