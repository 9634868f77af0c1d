"""Which files are read, by their endings, and how: the one table of sources and uploads."""

from pathlib import PurePath

LARGEST_FILE = 100 * 2**20  # bytes

_WORD = "application/vnd.openxmlformats-officedocument"
_OPEN = "application/vnd.oasis.opendocument"

PROSE = {
    ".log": "text/plain",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".txt": "text/plain",
}
"""Text that is a document as it stands."""

CODE = {
    ".bash": "text/x-shellscript",
    ".c": "text/x-c",
    ".cc": "text/x-c++",
    ".cfg": "text/x-ini",
    ".conf": "text/x-ini",
    ".cpp": "text/x-c++",
    ".cs": "text/x-csharp",
    ".css": "text/css",
    ".go": "text/x-go",
    ".h": "text/x-c",
    ".hpp": "text/x-c++",
    ".ini": "text/x-ini",
    ".java": "text/x-java",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".jsx": "text/javascript",
    ".kt": "text/x-kotlin",
    ".lua": "text/x-lua",
    ".php": "text/x-php",
    ".py": "text/x-python",
    ".r": "text/x-r",
    ".rb": "text/x-ruby",
    ".rs": "text/x-rust",
    ".scala": "text/x-scala",
    ".sh": "text/x-shellscript",
    ".sql": "application/sql",
    ".swift": "text/x-swift",
    ".tex": "text/x-tex",
    ".toml": "application/toml",
    ".ts": "text/x-typescript",
    ".tsx": "text/x-typescript",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
"""Text whose lines mean something: no sign in it is a heading."""

MARKED_UP = {
    ".csv": "text/csv",
    ".htm": "text/html",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".org": "text/x-org",
    ".rst": "text/x-rst",
    ".tsv": "text/tab-separated-values",
    ".xhtml": "text/html",
}
"""Text that becomes Markdown."""

PICTURES = {
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
}
"""Read by Tesseract, where its languages are installed."""

ARCHIVES = {".zip": "application/zip"}
"""Read member by member as one document."""

MAIL = {".eml": "message/rfc822", ".msg": "application/vnd.ms-outlook"}
"""Read with what is attached."""

BINARY = {
    ".doc": "application/msword",
    ".docx": f"{_WORD}.wordprocessingml.document",
    ".epub": "application/epub+zip",
    ".odp": f"{_OPEN}.presentation",
    ".ods": f"{_OPEN}.spreadsheet",
    ".odt": f"{_OPEN}.text",
    ".pdf": "application/pdf",
    ".ppt": "application/vnd.ms-powerpoint",
    ".pptx": f"{_WORD}.presentationml.presentation",
    ".rtf": "application/rtf",
    ".xls": "application/vnd.ms-excel",
    ".xlsx": f"{_WORD}.spreadsheetml.sheet",
}
"""Everything else, which becomes Markdown too."""

MEDIA_TYPES = {
    suffix: media_type
    for kinds in (ARCHIVES, BINARY, CODE, MAIL, MARKED_UP, PICTURES, PROSE)
    for suffix, media_type in sorted(kinds.items())
}


def media_type(name: str) -> str | None:
    """How a file of this name is read; None for kinds that are not."""
    return MEDIA_TYPES.get(PurePath(name).suffix.lower())


def is_plain(kind: str) -> bool:
    """Whether a file's text is the document's text, sign by sign."""
    return kind in _PLAIN


def is_code(kind: str) -> bool:
    """Whether the text is cut like code."""
    return kind in _CODE


_CODE = frozenset(CODE.values())
_PLAIN = _CODE | frozenset(PROSE.values())
