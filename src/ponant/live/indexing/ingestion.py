"""Takes files into the index: parsed, cut, embedded and stored, one transaction a document."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

import structlog

from ponant.kit.errors import PonantError
from ponant.live import faults
from ponant.live.indexing import vector_rows
from ponant.live.indexing.embedding import EmbeddingGate, Vector
from ponant.live.indexing.index import Index, Moved, Reading
from ponant.live.indexing.settling import Settling
from ponant.live.reading.chunking import Chunk, chunk, most_tokens, split
from ponant.live.reading.media import is_code
from ponant.live.reading.parsing import Parser, UnreadableDocument
from ponant.live.reading.passages import fingerprint
from ponant.live.sources.files import media_type
from ponant.live.sources.port import About, Content, Cursor
from ponant.store import Scope

_MOST_TOKENS = 256  # a passage longer than this says too many things at once
_MOST_HALVINGS = 8  # what is longer even then, the embedder takes as the mean of its parts
_AT_ONCE = 16  # with more passages to embed, keywords answer first and vectors follow
_PATIENCE = 0.3  # seconds that a document waits for vectors before keywords answer alone
_LONGEST_WAIT = 0.7  # where the embedder does not answer

_log = structlog.get_logger(__name__)
_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Home:
    """Where documents belong: a library, and the source that brings them."""

    scope: Scope
    library_id: str
    source_id: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """A document as it was last stored."""

    document_id: str
    path: str
    signature: str
    content_hash: str
    state: str
    source_version: int | None = None
    about: About | None = None  # None where it was not read since the start


class Ingestion:
    """Writes to the index on behalf of every source.

    Args:
        publish: told of each version, right after it is stored.

    Attributes:
        begun: set once what was stored is loaded; sources wait for it.
        waiting: set when passages lack vectors.
        settling: what is searched for already, on its way to the disk.
        lacking: how many do, by library; near enough to tell progress by.
    """

    def __init__(
        self, index: Index, gate: EmbeddingGate, publish: Callable[[Scope, Moved], None]
    ) -> None:
        self.index = index
        self.gate = gate
        self.publish = publish
        self.begun = asyncio.Event()
        self.waiting = asyncio.Event()
        self.lacking: Counter[str] = Counter()
        self.settling = Settling(index.database)
        self._parser = Parser()
        self._writer = ThreadPoolExecutor(1, "live-writer")
        self._helpers = ThreadPoolExecutor(2, "live-helper")

    async def write(self, function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run a function on the one thread that writes."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer, partial(function, *args, **kwargs))

    async def aside(self, function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run a function that takes long beside everything else."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._helpers, partial(function, *args, **kwargs))

    async def close(self) -> None:
        await self._parser.close()
        self._writer.shutdown(wait=True)
        await self.settling.close()
        self._helpers.shutdown(wait=False, cancel_futures=True)

    async def take(
        self,
        home: Home,
        known: Known | None,
        path: str,
        name: str,
        content: Content,
        *,
        about: About | None = None,
        cursor: Cursor | None = None,
        hurry: bool = False,
    ) -> Known:
        """Store what a file holds; one that cannot be read is marked, its old text stays.

        It is searched for when this returns, and on the disk once it is settled.

        Args:
            about: what the source says of it besides.
            cursor: where the source goes on once this is stored, in the same transaction.
            hurry: do not wait for vectors, since many other files wait.

        Raises:
            NotFound: the library or the document went away meanwhile.
            StorageFull: nothing was stored.
        """
        about = about or About()
        kind = about.media_type or media_type(name) or "application/octet-stream"
        try:
            text = await self._text(content, kind)
        except UnreadableDocument as e:
            return await self.fail(
                home, known, path, name, content, str(e), about=about, cursor=cursor
            )
        faults.point("parsed")
        identity = self.gate.identity
        chunks, missing = await self._chunks(home.scope, identity, text, kind)
        faults.point("cut")
        reading = Reading(
            path=path,
            name=name,
            media_type=kind,
            size=len(content.data),
            signature=content.signature,
            content_hash=content.hash,
            text=text,
            chunks=chunks,
            about=about,
        )
        vectors: dict[str, Vector] = {}
        if missing and not hurry and identity is not None:
            # Meanwhile there is time to tell the language, which the transaction asks for.
            vectors, _ = await asyncio.gather(
                self._vectors(identity, missing), self.aside(_language, reading)
            )
        faults.point("embedded")
        document_id, moved = await self.write(
            self.index.put_document,
            home.scope,
            home.library_id,
            reading,
            document_id=known.document_id if known else None,
            source_id=home.source_id,
            vectors=vectors,
            identity=identity,
            cursor=cursor,
        )
        faults.point("stored")
        self.settling.stored()
        if moved.lacking:
            self.lacking[home.library_id] += moved.lacking
            self.waiting.set()
        self.publish(home.scope, moved)
        return Known(document_id, path, content.signature, content.hash, "indexed")

    async def fail(
        self,
        home: Home,
        known: Known | None,
        path: str,
        name: str,
        content: Content,
        message: str,
        *,
        about: About | None = None,
        cursor: Cursor | None = None,
    ) -> Known:
        """Mark a document as failed; what it said before goes on answering."""
        _log.info("A file was not read.", path=path, reason=message)
        about = about or About()
        reading = Reading(
            path=path,
            name=name,
            media_type=about.media_type or media_type(name) or "application/octet-stream",
            size=len(content.data),
            signature=content.signature,
            content_hash=content.hash,
            text="",
            chunks=(),
            about=about,
        )
        document_id, moved = await self.write(
            self.index.put_failure,
            home.scope,
            home.library_id,
            reading,
            document_id=known.document_id if known else None,
            source_id=home.source_id,
            message=message,
            cursor=cursor,
        )
        self.publish(home.scope, moved)
        return Known(document_id, path, content.signature, content.hash, "failed")

    async def _chunks(
        self, scope: Scope, identity: str | None, text: str, kind: str
    ) -> tuple[list[Chunk], dict[str, str]]:
        """Passages that fit the embedder by its own count, not only by estimate.

        And what of them has no vector yet: what is embedded, by its `fingerprint`.
        """
        limit = self.gate.max_tokens or _MOST_TOKENS
        find = partial(self._missing, scope, identity)

        def cut() -> tuple[list[Chunk], list[Chunk], dict[str, str]]:
            chunks = chunk(text, max_tokens=min(limit, _MOST_TOKENS), code=is_code(kind))
            doubtful = [piece for piece in chunks if most_tokens(piece.input) > limit]
            return chunks, doubtful, {} if doubtful else find(chunks)

        chunks, doubtful, missing = await self.aside(cut)
        if not doubtful:
            return chunks, missing
        chunks = await self._split(chunks, doubtful, limit)
        return chunks, await self.aside(find, chunks)

    async def _split(self, chunks: list[Chunk], doubtful: list[Chunk], limit: int) -> list[Chunk]:
        """The same passages, but those in halves that are longer than the embedder takes."""
        for _ in range(_MOST_HALVINGS):
            counts = await self.gate.count_tokens([piece.input for piece in doubtful])
            long = {
                piece for piece, tokens in zip(doubtful, counts, strict=False) if tokens > limit
            }
            if not long:
                break
            chunks = [
                part for piece in chunks for part in (split(piece) if piece in long else [piece])
            ]
            doubtful = [piece for piece in chunks if most_tokens(piece.input) > limit]
        return chunks

    async def _text(self, content: Content, kind: str) -> str:
        text = await self._parser.text(content.data, kind)
        if not text.strip():
            raise UnreadableDocument(
                "The file holds no text. Add one that does; pictures and scanned pages are read "
                "where Tesseract is installed."
            )
        return text

    async def _vectors(self, identity: str, missing: Mapping[str, str]) -> dict[str, Vector]:
        """Vectors of what is new, if that is little and the embedder is quick."""
        if not missing or len(missing) > _AT_ONCE:
            return {}
        new = list(missing)
        vectors: dict[str, Vector] = {}
        begun = time.monotonic()
        try:
            async with (
                asyncio.timeout(_LONGEST_WAIT),
                aclosing(self.gate.turns(list(missing.values()), urgent=True)) as turns,
            ):
                async for found in turns:
                    vectors.update(zip(new[len(vectors) :], found, strict=False))
                    if time.monotonic() - begun > _PATIENCE:
                        break
        except (PonantError, TimeoutError):
            _log.debug("Vectors follow later.", missing=len(new) - len(vectors))
        return vectors if self.gate.identity == identity else {}

    def _missing(
        self, scope: Scope, identity: str | None, chunks: Sequence[Chunk]
    ) -> dict[str, str]:
        """What is embedded of passages that have no stored vector, by its `fingerprint`."""
        if identity is None:
            return {}
        inputs = {fingerprint(piece.input): piece.input for piece in chunks}
        with self.index.database.read() as session:
            known = vector_rows.known(session, scope, identity, list(inputs))
        return {key: text for key, text in inputs.items() if key not in known}


def _language(reading: Reading) -> str:
    return reading.language
