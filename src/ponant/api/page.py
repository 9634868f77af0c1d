"""The page: files that the build left beside this module, and the index for every view of it."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from ponant.kit.errors import NotFound

router = APIRouter(include_in_schema=False)

_PAGE = Path(__file__).parent / "page"
_SERVER_PATHS = ("v1", "mcp", "health", "metrics")


@router.get("/{path:path}")
def show(path: str) -> Response:
    """A built file, or the index, whose script reads the rest of the address."""
    if path.split("/", 1)[0] in _SERVER_PATHS:
        raise NotFound(f"There is nothing at /{path}. See docs/reference/http.md.")
    index = _PAGE / "index.html"
    if not index.is_file():
        raise NotFound("This installation has no page. Run make page, or install a released wheel.")
    file = _built_file(path)
    if file is not None:
        return FileResponse(file, headers={"Cache-Control": _lifetime(path)})
    if "." in path.rsplit("/", 1)[-1]:
        raise NotFound(f"The page has no file /{path}.")
    return FileResponse(index, headers={"Cache-Control": "no-cache"})


def _built_file(path: str) -> Path | None:
    try:
        file = (_PAGE / path).resolve()
        return file if file.is_file() and file.is_relative_to(_PAGE.resolve()) else None
    except (OSError, ValueError):  # no name that a file could have
        return None


def _lifetime(path: str) -> str:
    # The build puts a hash of the content into the names under assets/.
    return "public, max-age=31536000, immutable" if path.startswith("assets/") else "no-cache"
