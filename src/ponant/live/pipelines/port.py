"""What a pipeline's process and live knowledge say to each other."""

import msgspec

from ponant.live.port import MetadataValue


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A library, and the source in it that is the pipeline's."""

    library_id: str
    source_id: str


class KeptDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document as a library is to keep it.

    Attributes:
        data: text as UTF-8, or the source's file.
        access: marks of who may read it; None is everybody who may read the library.
    """

    key: str
    name: str
    data: bytes
    media_type: str | None = None
    url: str | None = None
    metadata: dict[str, MetadataValue] = {}
    access: tuple[str, ...] | None = None
