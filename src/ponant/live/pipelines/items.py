"""What flows through a pipeline: documents and rows."""

import hashlib
from typing import Any, Final

import msgspec

from ponant.live.port import MetadataValue

EVERYBODY: Final = ("*",)
"""For `Document.access`: everybody who may read the library, whoever may read the input."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document on its way from a source to a library.

    Attributes:
        key: its stable name within its source or sink, such as a path.
        text: Markdown, or plain text.
        name: as people know it; the key's last part where it is empty.
        access: marks of who may read it, such as ``group:sales``. None is who may read what it
            was made from; `EVERYBODY` lifts that.
    """

    key: str
    text: str = ""
    name: str = ""
    url: str | None = None
    metadata: dict[str, MetadataValue] = {}
    access: tuple[str, ...] | None = None

    def but(self, **changes: Any) -> "Document":
        """The same document with some fields changed."""
        return msgspec.structs.replace(self, **changes)


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A document as its source has it: bytes, which no transform asked to be read."""

    key: str
    data: bytes
    name: str
    media_type: str | None = None
    url: str | None = None
    metadata: dict[str, MetadataValue] = {}
    access: tuple[str, ...] | None = None


class Deleted(msgspec.Struct, frozen=True):
    """Yielded by a source for what is there no longer; ``key`` as the document's or row's was.

    A row's key is its only key column's value, or an object of its key columns.
    """

    key: Any


class Checkpoint(msgspec.Struct, frozen=True):
    """Yielded by a source to say where it is to go on; given back to it as ``cursor``."""

    cursor: dict[str, Any]


Row = dict[str, Any]
Item = Document | File | Row

_encode = msgspec.json.Encoder(order="deterministic", enc_hook=str).encode


def item_hash(item: Item) -> str:
    """Equal for items that nothing tells apart."""
    if isinstance(item, File):
        about = (item.key, item.name, item.media_type, item.url, item.metadata, item.access)
        return digest(_encode(about), item.data)
    kind = b"document" if isinstance(item, Document) else b"row"
    return digest(kind, _encode(item))


def digest(*parts: bytes) -> str:
    """A name for bytes; parts cannot run into one another."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.hexdigest()


def row_key(row: Row, key: tuple[str, ...]) -> str:
    """The name of a row by its key columns; "" where one has no value."""
    values = [row.get(name) for name in key]
    if not values or any(value is None for value in values):
        return ""
    return _encode(values).decode()


def key_values(name: str) -> list[Any]:
    """The values that a row's name stands for."""
    found: list[Any] = msgspec.json.decode(name)
    return found


def dump(items: list[Item]) -> bytes:
    """Items as bytes that `load` reads."""
    tagged = [("d" if isinstance(one, Document) else "r", one) for one in items]
    return msgspec.msgpack.encode(tagged, enc_hook=str)


def load(data: bytes) -> list[Item]:
    """Items again."""
    tagged: list[tuple[str, Any]] = msgspec.msgpack.decode(data)
    return [msgspec.convert(value, Document) if tag == "d" else value for tag, value in tagged]
