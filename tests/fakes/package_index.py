"""A folder of small wheels that pip takes for its only index."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from ponant.hub.bundled import Wheel


class FakePackageIndex:
    """Holds pure-data wheels; `serve` points pip at it and nowhere else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def serve(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Set pip's environment for the length of the test."""
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(self.folder))

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
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Wheel(project, version, digest, path.stat().st_size)

    def remove(self, wheel: Wheel) -> None:
        """Take a wheel off the index again."""
        for path in self.folder.glob(f"{wheel.project.replace('-', '_')}-{wheel.version}-*"):
            path.unlink()
