"""Text to token ids and back, for every kind of model file."""

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import msgspec
import structlog
from tokenizers import Tokenizer as Backend

from ponant.engine.kernels.library import available
from ponant.engine.weights.gguf import GgufFile
from ponant.kit.errors import SetupError
from ponant.kit.memory import give_memory_back
from ponant.text.detokenizer import Detokenizer
from ponant.text.rendered import Rendered
from ponant.text.vocabularies import e5, folder, gguf, sentencepiece, tekken
from ponant.text.vocabularies.built import Built, Details
from ponant.text.vocabularies.pieces import piece_reader
from ponant.text.vocabularies.unigram import PackedUnigram

_log = structlog.get_logger(__name__)
_CACHE_FORMAT = 1
_LONG = 500_000  # characters of a text, which takes 20 MB apart, that glibc would keep
_SURROGATES = re.compile("[\ud800-\udfff]")


class Tokenizer:
    """A model's vocabulary at work. Safe to use from many threads.

    Text is data unless said otherwise: a special token's name in it is encoded as plain text. A
    lone surrogate, which no encoding can carry, becomes U+FFFD.
    """

    def __init__(self, built: Built) -> None:
        self._backend, self.details = built
        # Special tokens are found by `_split`, in template text alone.
        self._backend.encode_special_tokens = True
        self._piece = piece_reader(self._backend)
        self._specials = {
            token.content: index
            for index, token in self._backend.get_added_tokens_decoder().items()
            if token.special and token.content
        }
        self._split = lru_cache(maxsize=4096)(self._split_at_specials)

    @property
    def bos(self) -> int | None:
        return self.details.bos

    @property
    def eos(self) -> int | None:
        return self.details.eos

    @property
    def stop_tokens(self) -> tuple[int, ...]:
        """Ids that end an answer."""
        return self.details.stop_tokens

    @property
    def vocabulary_size(self) -> int:
        return self.details.vocabulary_size

    @property
    def chat_template(self) -> str | None:
        """The Jinja source that came with the model."""
        return self.details.chat_template

    @property
    def backend(self) -> Backend:
        """The tokenizer of the `tokenizers` library beneath; not to be changed."""
        return self._backend

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of a text, with nothing put before or after it.

        Args:
            text: anything.
            special: whether names of special tokens stand for those tokens. Never set it for
                text that a person, a document or a tool wrote.
        """
        if not special:
            return self._encode_plain(_encodable(text))
        return self._join(self._split(_encodable(text)))

    def encode_prompt(self, text: str) -> list[int]:
        """Token ids of a text as the model expects it, with what goes before and after."""
        return self.frame(self.encode(text))

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts, on several cores where the library can."""
        return self._encode_many([_encodable(text) for text in texts])

    def encode_prompts(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts as the model expects them."""
        return [self.frame(ids) for ids in self.encode_many(texts)]

    def frame(self, ids: Sequence[int]) -> list[int]:
        """Put what the model expects before and after around the ids of a text."""
        return [*self.details.prefix, *ids, *self.details.suffix]

    def frame_pair(
        self, first: Sequence[int], second: Sequence[int]
    ) -> tuple[list[int], list[int]]:
        """The ids of two texts that are read together, with what goes around and between them."""
        details = self.details
        return [*details.prefix, *first, *details.between], [*second, *details.suffix]

    def encode_template(self, rendered: Rendered) -> list[int]:
        """Token ids of a rendered prompt.

        Special tokens are recognised in the template's own text alone. Stretches without one are
        encoded as one text, whoever wrote them, so that words merge as the model has seen them.
        """
        parts: list[str | int | None] = []
        for number, (text, is_template) in enumerate(rendered.segments):
            if number in rendered.breaks:
                parts.append(None)
            clean = _encodable(text)
            parts.extend(self._split(clean) if is_template else (clean,))
        ids = self._join(parts)
        prefix = list(self.details.prefix)
        return ids if ids[: len(prefix)] == prefix else prefix + ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of tokens; special tokens have none, broken characters become U+FFFD.

        ``decode(encode(text))`` is the text itself, but for SentencePiece's space mark (U+2581),
        which becomes a space, and what the model's own normaliser changes.
        """
        text = b"".join(map(self._piece, ids)).decode("utf-8", errors="replace")
        return text.removeprefix(" ") if self.details.space_prefix else text

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for; empty for special tokens.

        Raises:
            ValueError: an encoder's vocabulary has no such id; those of models that generate have
                none for it.
        """
        return self._piece(token)

    @cached_property
    def shown(self) -> Callable[[int], tuple[str, bytes]]:
        """Tells a token alone as text and as bytes; answers hold the same ones again and again."""
        return lru_cache(maxsize=16384)(lambda token: (self.decode((token,)), self.piece(token)))

    def name(self, token: int) -> str:
        """The token as the vocabulary writes it, special tokens included; '' where unknown."""
        return self._backend.id_to_token(token) or ""

    def special_id(self, name: str) -> int | None:
        """The id of a special token by its name."""
        return self._specials.get(name)

    @property
    def special_tokens(self) -> frozenset[int]:
        return frozenset(self._specials.values())

    def detokenizer(self) -> Detokenizer:
        """A fresh decoder for one stream of tokens."""
        return Detokenizer(self._piece)

    def _encode_plain(self, text: str) -> list[int]:
        if not text:
            return []
        # A batch of one: `encode` holds the interpreter's lock as long as it works, which stops
        # the whole server (3 s for 4 MB), and notes offsets, which takes three times as long.
        (encoding,) = self._backend.encode_batch_fast([text], add_special_tokens=False)
        ids = encoding.ids
        if len(text) >= _LONG:
            del encoding
            give_memory_back()
        return ids

    def _encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        found = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in found]

    def _join(self, parts: Iterable[str | int | None]) -> list[int]:
        """Ids of parts, with neighbouring texts encoded as one where no None parts them."""
        ids: list[int] = []
        waiting: list[str] = []
        for part in parts:
            if isinstance(part, str):
                waiting.append(part)
                continue
            ids += self._encode_plain("".join(waiting))
            waiting.clear()
            if part is not None:
                ids.append(part)
        return ids + self._encode_plain("".join(waiting))

    def _split_at_specials(self, text: str) -> tuple[str | int, ...]:
        present = [name for name in self._specials if name in text]
        if not present:
            return (text,)
        longest_first = sorted(present, key=len, reverse=True)
        parts = re.split(f"({'|'.join(map(re.escape, longest_first))})", text)
        return tuple(self._specials.get(part, part) for part in parts if part)


class UnigramTokenizer(Tokenizer):
    """A tokenizer whose normaliser is ours, as the e5 file has its own."""

    def __init__(self, built: Built, unigram: e5.Unigram) -> None:
        super().__init__(built)
        self._unigram = unigram

    def _encode_plain(self, text: str) -> list[int]:
        return self._unigram.encode(text)

    def _encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        return list(map(self._unigram.encode, texts))


class PackedTokenizer(Tokenizer):
    """A tokenizer whose vocabulary stays in its file; it has no backend of the library's."""

    def __init__(self, details: Details, vocabulary: PackedUnigram) -> None:
        self.details = details
        self._vocabulary = vocabulary
        self._piece = vocabulary.piece
        self._specials = {}
        self._split = lru_cache(maxsize=4096)(self._split_at_specials)

    @property
    def vocabulary_size(self) -> int:
        return self.details.vocabulary_size

    def name(self, token: int) -> str:
        return self._vocabulary.name(token)

    def _encode_plain(self, text: str) -> list[int]:
        return self._vocabulary.encode(text)

    def _encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        return list(map(self._vocabulary.encode, texts))


def load_tokenizer(path: Path, cache: Path) -> Tokenizer:
    """Load the tokenizer of a model.

    Args:
        path: a GGUF file, an e5 file, or a folder with ``tokenizer.json``, ``tekken.json`` or a
            SentencePiece model.
        cache: a folder for what is slow to build; made where missing.

    Raises:
        SetupError: there is no such file, or it holds no tokenizer that Ponant knows.
    """
    if path.is_dir():
        return Tokenizer(_of_folder(path, cache))
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as e:
        raise SetupError(f"The model file {path} cannot be read: {e.strerror}.") from e
    match magic:
        case b"GGUF":
            return Tokenizer(_cached(path, cache, _of_gguf))
        case e5.MAGIC:
            if available():
                return PackedTokenizer(*e5.pack(path))
            return UnigramTokenizer(*e5.build(path))
        case _:
            raise SetupError(f"{path} is neither a GGUF nor an e5 file. Pull the model again.")


def has_chat_format(folder_path: Path) -> bool:
    """Whether a folder's files say how to chat; reads no vocabulary."""
    if not (folder_path / "tokenizer.json").is_file():
        model = sentencepiece.find(folder_path)
        named = model is not None and sentencepiece.version_of(model) is not None
        return named or (folder_path / tekken.FILE_NAME).is_file()
    return folder.chat_template(folder_path) is not None


def _encodable(text: str) -> str:
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def _of_folder(path: Path, cache: Path) -> Built:
    if not (path / "tokenizer.json").is_file():
        if (own := path / tekken.FILE_NAME).is_file():
            return _cached(own, cache, tekken.build)
        if (model := sentencepiece.find(path)) is not None:
            return _cached(model, cache, sentencepiece.build)
    return folder.build(path)


def _of_gguf(path: Path) -> Built:
    return gguf.build(GgufFile(path).metadata)


def _cached(path: Path, cache: Path, build: Callable[[Path], Built]) -> Built:
    """The tokenizer of a file, from the cache where this very file was seen before."""
    status = path.stat()
    seen = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0{_CACHE_FORMAT}"
    stem = hashlib.sha256(seen.encode()).hexdigest()[:24]
    vocabulary, details = cache / f"{stem}.tokenizer.json", cache / f"{stem}.details.json"
    if built := _read_cached(vocabulary, details):
        return built
    built = build(path)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _write(vocabulary, built.backend.to_str())
        # The details are written last: where they are, the vocabulary is whole.
        _write(details, msgspec.json.encode(built.details).decode())
    except OSError as e:
        _log.warning("tokenizer_not_cached", path=str(path), error=str(e))
    return built


def _read_cached(vocabulary: Path, details: Path) -> Built | None:
    try:
        known = msgspec.json.decode(details.read_bytes(), type=Details)
        return Built(Backend.from_file(str(vocabulary)), known)
    except FileNotFoundError:
        return None
    except Exception as e:  # noqa: BLE001 - a damaged cache is built anew, whatever the damage
        _log.warning("tokenizer_cache_damaged", path=str(vocabulary), error=str(e))
        return None


def _write(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or none."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        file.write(text)
    Path(file.name).replace(path)
