"""Which folders a source may lie in, and which files are never read.

Over HTTP only folders inside the allowed roots count; the command line, run by the system user who
owns the server, may add any. Dot-files, and all that Ponant keeps under its home, are refused to
everyone: uploads and samples of one workspace must not become a source of another.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from ponant.kit.errors import BadRequest, Forbidden
from ponant.live.port import Folder, FolderListing

SAMPLES = "samples"
UPLOADS = "uploads"


class Roots:
    """The rule for one installation.

    Args:
        home: where Ponant keeps its own data.
        roots: folders that HTTP callers may declare sources in, resolved.
    """

    def __init__(self, home: Path, roots: Sequence[Path]) -> None:
        self._home = home.resolve()
        self.roots = tuple(roots)

    def checked(self, path: str, *, trusted: bool) -> Path:
        """The folder that ``path`` names, resolved.

        Args:
            trusted: whether the system user asks, on the command line.

        Raises:
            BadRequest: the path is not absolute, not there or not a folder.
            Forbidden: a source may not lie there.
        """
        folder = self._resolved(path)
        if self.is_private(folder):
            raise Forbidden(
                f"The folder {folder} is hidden or holds Ponant's own data. Choose another folder."
            )
        if not trusted and not self.covers(folder):
            raise Forbidden(
                f"The folder {folder} is outside the folders that sources may lie in. Ask the "
                "operator to set PONANT_LIVE_ROOTS, or to run: ponant live add"
            )
        if not folder.is_dir():
            raise BadRequest(f"There is no folder {folder}. Check the path.", param="config.path")
        return folder

    def covers(self, folder: Path) -> bool:
        """Whether a folder lies in an allowed root or is one."""
        return any(folder.is_relative_to(root) for root in self.roots)

    def is_private(self, path: Path) -> bool:
        """Whether a resolved path is hidden or belongs to Ponant."""
        if path.is_relative_to(self._home):
            return True
        root = next((root for root in self.roots if path.is_relative_to(root)), Path("/"))
        return _is_hidden(path, root)

    def list(self, path: str | None) -> FolderListing:
        """The folders in a folder, or the roots themselves where none is named.

        Raises:
            BadRequest: there is no such folder, or it cannot be read.
            Forbidden: it lies outside the roots.
        """
        names = tuple(str(root) for root in self.roots)
        if path is None:
            folders = tuple(
                Folder(name=root.name or str(root), path=str(root)) for root in self.roots
            )
            return FolderListing(path=None, parent=None, folders=folders, roots=names)
        folder = self.checked(path, trusted=False)
        parent = str(folder.parent) if self.covers(folder.parent) else None
        try:
            inside = sorted(entry for entry in folder.iterdir() if self._is_shown(entry))
        except OSError as e:
            raise BadRequest(f"The folder {folder} cannot be read: {e.strerror}.") from e
        return FolderListing(
            path=str(folder),
            parent=parent,
            folders=tuple(Folder(name=entry.name, path=str(entry)) for entry in inside),
            roots=names,
        )

    def _is_shown(self, entry: Path) -> bool:
        hidden = entry.name.startswith(".") or entry.is_symlink()
        return not hidden and entry.is_dir() and not self.is_private(entry)

    def _resolved(self, path: str) -> Path:
        if not Path(path).expanduser().is_absolute() or "\0" in path:
            raise BadRequest(
                f"The folder {path!r} needs a full path, from the root.", param="config.path"
            )
        try:
            return Path(path).expanduser().resolve()
        except (OSError, RuntimeError) as e:  # RuntimeError: a loop of symbolic links
            raise BadRequest(f"There is no folder {path}. Check the path.") from e


def private_inside(home: Path, source: Path) -> Callable[[Path], bool]:
    """Which places inside a source's folder are never read; the sample itself lies in the home."""
    own = home.resolve()
    spared = None if source.is_relative_to(own) else own

    def is_private(path: Path) -> bool:
        return _is_hidden(path, source) or (spared is not None and path.is_relative_to(spared))

    return is_private


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
