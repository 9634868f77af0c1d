"""Folders of documents that tests ask about and edit."""

from dataclasses import dataclass
from pathlib import Path

_HANDBOOK = """# Handbook

## Opening hours

The reception desk opens at {opens} on weekdays.

## Lending

Books are lent for four weeks. A book that nobody waits for can be kept for four more.
"""

_GARDEN = """# Garden

The roses are watered on Tuesday evenings. The gate to the garden is painted green.
"""


@dataclass(frozen=True, slots=True)
class Handbook:
    """The folder, and the one fact in it that tests change."""

    folder: Path

    @classmethod
    def write(cls, folder: Path) -> "Handbook":
        folder.mkdir(parents=True)
        made = cls(folder)
        made.open_at("08:30")
        (folder / "garden.md").write_text(_GARDEN, encoding="utf-8")
        return made

    def open_at(self, time: str) -> None:
        (self.folder / "handbook.md").write_text(_HANDBOOK.format(opens=time), encoding="utf-8")

    def remove(self) -> None:
        (self.folder / "handbook.md").unlink()
