"""Every kind of source by its name; a kind's module is imported when it is first asked for."""

from collections.abc import Iterator, Mapping
from importlib import import_module

from ponant.kit.errors import BadRequest
from ponant.live.sources.kind import Context, Kind, Secrets, secret

__all__ = ["KINDS", "Context", "Kind", "Secrets", "kind_of", "secret"]

_MODULES = {
    "folder": "ponant.live.sources.folder",
    "imap": "ponant.live.sources.imap",
    "kafka": "ponant.live.sources.kafka",
    "pipeline": "ponant.live.pipelines.keeping",
    "postgres": "ponant.live.sources.postgres",
}
"""Each module has its `Kind` under the name ``KIND``."""


class _Kinds(Mapping[str, Kind]):
    def __getitem__(self, name: str) -> Kind:
        kind = import_module(_MODULES[name]).KIND
        if not isinstance(kind, Kind):
            raise TypeError(f"{_MODULES[name]}.KIND is no kind of source")
        return kind

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(_MODULES))

    def __len__(self) -> int:
        return len(_MODULES)


KINDS: Mapping[str, Kind] = _Kinds()


def kind_of(name: str) -> Kind:
    """The kind of that name.

    Raises:
        BadRequest: there is none.
    """
    if name not in _MODULES:
        known = ", ".join(KINDS)
        raise BadRequest(
            f"There is no source of the kind {name[:40]!r}. The kinds are: {known}. "
            'A folder is {"kind": "folder", "config": {"path": "/…"}}.',
            param="kind",
        )
    return KINDS[name]
