"""Folders of documents that tests ask about and edit."""

from dataclasses import dataclass
from pathlib import Path

_HANDBOOK = """# Handbook

## Opening hours

{line}

## Lending

Books are lent for four weeks. A book that nobody waits for can be kept for four more.
"""

_GARDEN = """# Garden

The roses are watered on Tuesday evenings. The gate to the garden is painted green.
"""


@dataclass(slots=True)
class Handbook:
    """The folder, and the one fact in it that tests change."""

    folder: Path
    name: str = "handbook.md"
    line: str = ""

    @classmethod
    def write(cls, folder: Path) -> "Handbook":
        folder.mkdir(parents=True)
        made = cls(folder)
        made.open_at("08:30")
        (folder / "garden.md").write_text(_GARDEN, encoding="utf-8")
        return made

    def open_at(self, time: str) -> None:
        self.line = f"The reception desk opens at {time} on weekdays."
        (self.folder / self.name).write_text(_HANDBOOK.format(line=self.line), encoding="utf-8")

    def remove(self) -> None:
        (self.folder / self.name).unlink()
