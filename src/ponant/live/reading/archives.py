"""Looks into ZIP files, which Office documents and EPUB books are too, before anyone unpacks them.

A bomb is a small file that unpacks to a large one, at the worst by letting its members overlap
(Fifield, A better zip bomb, WOOT 2019); one is refused by what its directory says, and what the
directory denies meets the limits of the process.
"""

import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import PurePosixPath

from ponant.live.reading.refusal import Refusal

MOST_MEMBERS = 10_000
MOST_BYTES = 512 * 2**20  # of all members, unpacked
MOST_RATIO = 100  # times as large unpacked, where that is more than `_HARMLESS`
_HARMLESS = 50 * 2**20
_CHUNK = 2**20

_UNPACK = "Unpack it and add the files that you need."
_SPLIT = "Split it, or unpack it and add the files that you need."


def check(data: bytes) -> None:
    """Refuse what would unpack to too much; anything that is no ZIP file passes.

    Raises:
        Refusal: it is a bomb, or as large as one.
    """
    if not data.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            _check(archive.infolist(), len(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as e:
        raise Refusal("it is damaged") from e


def members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and contents of an archive's files, without hidden ones.

    Raises:
        Refusal: it is a bomb, damaged, or locked by a password.
    """
    check(data)
    left = MOST_BYTES
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            for member in archive.infolist():
                if member.is_dir() or _is_hidden(member.filename):
                    continue
                content = _unpacked(archive, member, left)
                left -= len(content)
                yield member.filename, content
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError) as e:
        raise Refusal("it is damaged") from e


def _check(found: list[zipfile.ZipInfo], size: int) -> None:
    unpacked = sum(member.file_size for member in found)
    packed = sum(member.compress_size for member in found)
    if len(found) > MOST_MEMBERS:
        raise Refusal(f"it holds {len(found):,} files, and the most is {MOST_MEMBERS:,}", _SPLIT)
    if packed > size:
        raise Refusal("its files overlap, as those of a ZIP bomb do", _UNPACK)
    if unpacked > MOST_BYTES:
        raise Refusal(
            f"it unpacks to {unpacked // 2**20:,} MiB, and the most is {MOST_BYTES // 2**20}",
            _SPLIT,
        )
    if unpacked > max(_HARMLESS, MOST_RATIO * size):
        raise Refusal(
            f"it unpacks to {unpacked // max(1, size):,} times its size, as a bomb does", _UNPACK
        )
    if any(member.flag_bits & 1 for member in found):
        raise Refusal("it is locked by a password", "Add it without one.")


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, left: int) -> bytes:
    content = bytearray()
    with archive.open(member) as file:
        while piece := file.read(_CHUNK):
            content += piece
            if len(content) > left:
                raise Refusal(f"it unpacks to more than {MOST_BYTES // 2**20} MiB", _SPLIT)
    return bytes(content)


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
