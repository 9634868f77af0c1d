"""Documents that programs push, by key and version: the same twice, or an older one, is nothing."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from functools import partial

import msgspec

from ponant.kit.errors import BadRequest
from ponant.live.port import MetadataValue
from ponant.live.reading.parsing import LARGEST_FILE, MEDIA_TYPES
from ponant.live.sources.files import media_type
from ponant.live.sources.kind import Context, Kind, Secrets
from ponant.live.sources.port import Batch, Content, Cursor, Found, Gone
from ponant.live.sources.state import PushOutcome

MOST_AT_ONCE = 1000
_LONGEST_KEY = 500  # characters


class PushConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Nothing is to be said of where the documents come from."""


class PushedDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document as it is pushed, with its text or its bytes.

    Attributes:
        key: its stable name, by which it is pushed again or deleted.
        version: grows with every change; one that is not above the stored one changes nothing.
        access: marks of who may read it; None is everybody who may read the library.
    """

    key: str
    version: int | None = None
    text: str | None = None
    data: bytes | None = None
    name: str | None = None
    media_type: str | None = None
    url: str | None = None
    metadata: dict[str, MetadataValue] = {}
    access: tuple[str, ...] | None = None


class PushedDeletion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document that is there no longer."""

    key: str
    version: int | None = None


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a push.

    Attributes:
        version: of the library, which shows all of it; a search may ask for at least this one.
    """

    version: int
    as_of: datetime
    documents: tuple[PushOutcome, ...]


class PushSource:
    """Waits: what is pushed goes to the follower itself."""

    interval: float | None = None

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:  # noqa: ARG002 - nothing is asked for
        """Yield once, so that the source counts as looked at."""
        yield Batch(changes=(), complete=False)
        await asyncio.Event().wait()


def change_of(pushed: PushedDocument | PushedDeletion) -> Found | Gone:
    """A pushed document as a change for the follower.

    Raises:
        BadRequest: it has no key or no content, or is of a kind that is not read.
    """
    if not pushed.key or len(pushed.key) > _LONGEST_KEY or not pushed.key.isprintable():
        raise BadRequest(
            f"A document needs a key of 1 to {_LONGEST_KEY} characters.", param="documents.key"
        )
    if isinstance(pushed, PushedDeletion):
        return Gone(key=pushed.key, source_version=pushed.version)
    if (pushed.text is None) == (pushed.data is None):
        raise BadRequest(
            f"The document {pushed.key} needs either text or content.", param="documents"
        )
    data = pushed.data if pushed.data is not None else (pushed.text or "").encode()
    if len(data) > LARGEST_FILE:
        raise BadRequest(
            f"The document {pushed.key} has {len(data) // 2**20} MiB; the most is "
            f"{LARGEST_FILE // 2**20}.",
            param="documents",
        )
    name = pushed.name or pushed.key.rstrip("/").rpartition("/")[2] or pushed.key
    return Found(
        key=pushed.key,
        signature="",
        name=name,
        read=partial(_read, data, _fingerprint(pushed)),
        media_type=_kind(pushed, name),
        url=pushed.url,
        metadata=pushed.metadata,
        access=pushed.access,
        source_version=pushed.version,
        urgent=True,
    )


def _kind(pushed: PushedDocument, name: str) -> str:
    if pushed.media_type is not None:
        if pushed.media_type not in MEDIA_TYPES.values():
            raise BadRequest(
                f"Documents of the type {pushed.media_type[:100]} are not read. Types that are: "
                f"{', '.join(sorted(set(MEDIA_TYPES.values())))}.",
                param="documents.media_type",
            )
        return pushed.media_type
    if pushed.text is not None:
        return "text/markdown"
    kind = media_type(name)
    if kind is None:
        raise BadRequest(
            f"What kind of file {name} is cannot be told. Send a media_type, or a name with its "
            "ending.",
            param="documents.media_type",
        )
    return kind


def _fingerprint(pushed: PushedDocument) -> str:
    """Changes with whatever is said of a document besides its content."""
    about = (pushed.name, pushed.media_type, pushed.url, pushed.metadata, pushed.access)
    return hashlib.sha256(msgspec.json.encode(about, order="deterministic")).hexdigest()


async def _read(data: bytes, signature: str) -> Content:
    return Content.of(data, signature)


def _open(_config: PushConfig, _secrets: Secrets, _context: Context) -> PushSource:
    return PushSource()


def _title(_config: Mapping[str, object]) -> str:
    return "pushed documents"


KIND = Kind(
    name="push",
    config=PushConfig,
    open=_open,
    reaches="none",
    hint="{}: documents are pushed to it over HTTP",
    title=_title,
)
