"""A file's bytes to Markdown, by kreuzberg; runs in the parser process."""

import os
from functools import cache
from pathlib import Path
from typing import Any

from ponant.live.reading import archives
from ponant.live.reading.decoding import LONGEST_TEXT, clean, decode
from ponant.live.reading.media import ARCHIVES, MAIL, MARKED_UP, PICTURES, is_plain, media_type
from ponant.live.reading.refusal import Refusal

_DEEPEST = 2  # archives within archives, messages within messages
_MOST_LANGUAGES = 6  # each makes Tesseract slower
_TESSDATA = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
)
_NO_LANGUAGES = "Install Tesseract with its languages, such as Debian's tesseract-ocr."
_MEMORY = "it needs more memory than a document may take"
_NO_THREAD = "Resource temporarily unavailable"  # no memory for the stack of one
_MARKUP = frozenset(MARKED_UP.values())
_IMAGES = frozenset(PICTURES.values())
_MAIL = frozenset(MAIL.values())


def text_of(data: bytes, kind: str, depth: int = 0) -> str:
    """A file's text as Markdown; plain text stays what it is.

    Raises:
        Refusal: there is none to be had.
    """
    if kind in ARCHIVES.values():
        text = _archive(data, depth)
    elif is_plain(kind):
        text = decode(data)
    elif kind in _MARKUP:
        text = _extract(decode(data).encode(), kind)
    elif kind in _IMAGES:
        text = _picture(data, kind)
    elif kind in _MAIL:
        text = _mail(data, kind, depth)
    else:
        archives.check(data)
        text = _extract(data, kind)
    if len(text) > LONGEST_TEXT:
        raise Refusal(f"its text is longer than {LONGEST_TEXT:,} characters")
    return clean(text)


def ocr_languages() -> tuple[str, ...]:
    """Tesseract's languages on this machine, English first; none where it is not installed."""
    folder = _tessdata()
    if folder is None:
        return ()
    found = {path.stem for path in folder.glob("*.traineddata")} - {"osd", "equ"}
    return tuple(sorted(found, key=lambda name: (name != "eng", name)))[:_MOST_LANGUAGES]


@cache
def _tessdata() -> Path | None:
    places = [os.environ.get("TESSDATA_PREFIX", ""), *_TESSDATA]
    return next((Path(place) for place in places if place and Path(place).is_dir()), None)


def _extract(data: bytes, kind: str) -> str:
    from kreuzberg import KreuzbergError, extract_bytes_sync  # noqa: PLC0415 - takes a while

    try:
        found = extract_bytes_sync(data, kind, config=_configuration())
    except KreuzbergError as e:
        raise _refusal(str(e)) from e
    except MemoryError as e:
        raise Refusal(_MEMORY) from e
    except RuntimeError as e:
        if _NO_THREAD not in str(e):
            raise
        raise Refusal(_MEMORY) from e
    return _without_front_matter(str(found.content))


@cache
def _configuration() -> Any:
    from kreuzberg import (  # noqa: PLC0415
        ConcurrencyConfig,
        ExtractionConfig,
        OcrConfig,
        TesseractConfig,
    )

    languages = "+".join(ocr_languages())
    tesseract = TesseractConfig(language=languages or "eng", use_cache=False)
    ocr = OcrConfig(language=languages, tesseract_config=tesseract) if languages else None
    # Their stubs do not know every option.
    options: dict[str, Any] = {"disable_ocr": ocr is None, "ocr": ocr}
    return ExtractionConfig(
        use_cache=False,
        output_format="markdown",
        concurrency=ConcurrencyConfig(max_threads=1),
        **options,
    )


def _picture(data: bytes, kind: str) -> str:
    if not ocr_languages():
        raise Refusal("it is a picture, and no text recognition is installed", _NO_LANGUAGES)
    return _extract(data, kind)


def _mail(data: bytes, kind: str, depth: int) -> str:
    """A message, followed by what is attached to it."""
    parts = [_extract(data, kind).strip()]
    for name, content in _attachments(data) if kind == "message/rfc822" else ():
        parts.append(_member(name, content, depth))
    return "\n\n".join(filter(None, parts)) + "\n"


def _attachments(data: bytes) -> list[tuple[str, bytes]]:
    import email  # noqa: PLC0415 - rarely needed
    from email.policy import default  # noqa: PLC0415

    message = email.message_from_bytes(data, policy=default)
    found = []
    for part in message.walk():
        name, content = part.get_filename(), part.get_payload(decode=True)
        if name and isinstance(content, bytes):
            found.append((name, content))
    return found


def _archive(data: bytes, depth: int) -> str:
    """The files of an archive under their names, one after another."""
    parts = (_member(name, content, depth) for name, content in archives.members(data))
    return "\n\n".join(filter(None, parts)) + "\n"


def _member(name: str, content: bytes, depth: int) -> str:
    """A file within a file, under its name; "" for kinds that are not read."""
    kind = media_type(name)
    if kind is None or depth >= _DEEPEST:
        return ""
    try:
        text = text_of(content, kind, depth + 1).strip()
    except Refusal as e:
        return f"# {name}\n\nNot read: {e.reason}."
    return f"# {name}\n\n{text}" if text else ""


def _refusal(message: str) -> Refusal:
    """A library's message in short: ``ParsingError: Invalid PDF: Pdfium…`` → ``Invalid PDF``."""
    if "password" in message.lower() or "encrypted" in message.lower():
        return Refusal("it is locked by a password", "Save it without one.")
    parts = [part.strip() for part in message.split(":")]
    telling = [part for part in parts if part and not part.endswith("Error")]
    return Refusal((telling or ["it is damaged or of another kind"])[0].rstrip(".")[:200])


def _without_front_matter(text: str) -> str:
    """The text without the metadata that kreuzberg puts above an HTML page's."""
    if not text.startswith("---\n\n"):
        return text
    _, found, rest = text[5:].partition("\n\n")
    return rest if found else text
