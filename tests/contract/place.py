"""What a contract test needs of a place that documents come from."""

from abc import ABC, abstractmethod
from typing import Any


class Place(ABC):
    """Holds documents by name and can be out of reach.

    Attributes:
        kind: of the source that follows it.
        secrets: what it is followed with besides its settings.
    """

    kind: str

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]: ...

    @abstractmethod
    def write(self, name: str, text: str) -> None: ...

    @abstractmethod
    def delete(self, name: str) -> None: ...

    @abstractmethod
    def down(self) -> None: ...

    @abstractmethod
    def up(self) -> None: ...

    def end(self) -> None:
        """Let go of whatever runs."""
        self.down()
