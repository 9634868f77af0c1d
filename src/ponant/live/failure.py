"""How an error that people may see gets from one process to another."""

import msgspec

from ponant.kit import PonantError
from ponant.kit.errors import Unavailable


class Failure(msgspec.Struct, frozen=True):
    """A PonantError on its way to who asked."""

    kind: str
    message: str
    param: str | None = None
    retry_after: float | None = None

    @classmethod
    def of(cls, error: PonantError) -> "Failure":
        return cls(type(error).__name__, error.message, error.param, error.retry_after)

    def error(self) -> PonantError:
        """The same error again; of a kind unknown here, the nearest."""
        kinds = {kind.__name__: kind for kind in _kinds(PonantError)}
        kind = kinds.get(self.kind, Unavailable)
        return kind(self.message, param=self.param, retry_after=self.retry_after)


def _kinds(kind: type[PonantError]) -> list[type[PonantError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _kinds(child))]
