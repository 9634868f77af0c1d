"""Every kind of source by its name; a kind's module is imported when it is first asked for."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import msgspec

from ponant.kit.errors import BadRequest
from ponant.live.sources.describing import described
from ponant.live.sources.kind import Context, Kind, Secrets, secret

__all__ = [
    "KINDS",
    "Context",
    "Kind",
    "KindView",
    "Secrets",
    "kind_of",
    "kind_views",
    "register",
    "secret",
]

_MODULES = {
    "folder": "ponant.live.sources.folder",
    "git": "ponant.live.sources.git",
    "imap": "ponant.live.sources.imap",
    "kafka": "ponant.live.sources.kafka",
    "pipeline": "ponant.live.pipelines.keeping",
    "postgres": "ponant.live.sources.postgres",
    "push": "ponant.live.sources.push",
    "s3": "ponant.live.sources.s3",
    "web": "ponant.live.sources.web",
    "webdav": "ponant.live.sources.webdav",
}
"""Each module has its `Kind` under the name ``KIND``."""


_REGISTERED: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Add a kind that a program brings, for the time of its process."""
    _REGISTERED[kind.name] = kind


class _Kinds(Mapping[str, Kind]):
    def __getitem__(self, name: str) -> Kind:
        if name in _REGISTERED:
            return _REGISTERED[name]
        kind = import_module(_MODULES[name]).KIND
        if not isinstance(kind, Kind):
            raise TypeError(f"{_MODULES[name]}.KIND is no kind of source")
        return kind

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*_MODULES, *_REGISTERED}))

    def __len__(self) -> int:
        return len({*_MODULES, *_REGISTERED})


KINDS: Mapping[str, Kind] = _Kinds()


class KindView(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of source, for those who choose one.

    Attributes:
        settings: JSON schema of its config.
        secrets: what is sent beside it, and kept apart.
        signs_in_as: settings that say who signs in, which may change with the secrets.
    """

    name: str
    hint: str
    reaches: str
    secrets: tuple[str, ...]
    signs_in_as: tuple[str, ...]
    settings: dict[str, Any]


def kind_views() -> list[KindView]:
    """Every kind, with its settings."""
    return [
        KindView(
            name=kind.name,
            hint=kind.hint,
            reaches=kind.reaches,
            secrets=tuple(kind.secrets),
            signs_in_as=tuple(kind.signs_in_as),
            settings=described(kind.config),
        )
        for kind in KINDS.values()
    ]


def kind_of(name: str) -> Kind:
    """The kind of that name.

    Raises:
        BadRequest: there is none.
    """
    if name not in _MODULES and name not in _REGISTERED:
        known = ", ".join(KINDS)
        raise BadRequest(
            f"There is no source of the kind {name[:40]!r}. The kinds are: {known}. "
            'A folder is {"kind": "folder", "config": {"path": "/…"}}.',
            param="kind",
        )
    return KINDS[name]
