"""A folder of small wheels that pip takes for its only index."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from ponant.hub.bundled import Wheel


class FakePackageIndex:
    """Holds pure-data wheels; `serve` points pip at it and nowhere else.

    Attributes:
        url: the address of its pages in the form of PEP 503.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = (folder / "simple").as_uri()
        (folder / "simple").mkdir(parents=True)

    def serve(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Set pip's environment for the length of the test."""
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", self.url)
        for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
            monkeypatch.delenv(name, raising=False)

    def add(
        self, project: str, members: dict[str, bytes], *, version: str = "1.0", needs: str = ""
    ) -> Wheel:
        """Put a wheel with these members on the index and return its pin."""
        stem = f"{project.replace('-', '_')}-{version}"
        info = f"{stem}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
        metadata += f"Requires-Dist: {needs}\n" if needs else ""
        files = {
            **members,
            f"{info}/METADATA": metadata.encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        path = self.folder / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in {**files, f"{info}/RECORD": record.encode()}.items():
                archive.writestr(name, content)
        self._list(project)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Wheel(project, version, digest, path.stat().st_size)

    def remove(self, wheel: Wheel) -> None:
        """Take a wheel off the index again."""
        for path in self.folder.glob(f"{wheel.project.replace('-', '_')}-{wheel.version}-*"):
            path.unlink()
        self._list(wheel.project)

    def put_back(self, wheel: Wheel, content: bytes) -> None:
        """Offer a wheel that was taken off again, with this content."""
        stem = f"{wheel.project.replace('-', '_')}-{wheel.version}"
        (self.folder / f"{stem}-py3-none-any.whl").write_bytes(content)
        self._list(wheel.project)

    def _list(self, project: str) -> None:
        page = self.folder / "simple" / project / "index.html"
        page.parent.mkdir(exist_ok=True)
        wheels = sorted(self.folder.glob(f"{project.replace('-', '_')}-[0-9]*.whl"))
        links = (f'<a href="{path.as_uri()}">{path.name}</a>' for path in wheels)
        page.write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")
