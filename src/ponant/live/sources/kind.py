"""What a kind of source is: its settings, what it reaches, and how it is opened."""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec, Protocol, TypeVar

import msgspec

from ponant.kit.errors import BadRequest, Forbidden
from ponant.kit.network import Network
from ponant.live.sources.port import DocumentSource, SourceFault
from ponant.live.sources.roots import Roots

OWN = "sources"  # folder under the home: what sources keep between two looks
Secrets = Mapping[str, str]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Aside(Protocol):
    """Runs a function that takes long on another thread."""

    def __call__(
        self, function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Awaitable[_R]: ...


@dataclass(frozen=True, slots=True)
class Context:
    """What of the installation a source may use.

    Attributes:
        home: where Ponant keeps its data.
        roots: the folders that sources may lie in.
        network: the addresses that this source may speak to.
        trusted: whether the system user declared it, on the command line.
        aside: runs a function that takes long beside everything else.
        source_id: the source's own, once it is declared.
        brokers: of Kafka, ``host:port``, that a source may read from that is not trusted.
    """

    home: Path
    roots: Roots
    network: Network
    trusted: bool
    aside: Aside
    source_id: str = ""
    brokers: frozenset[str] = frozenset()

    @property
    def own(self) -> Path:
        """A folder that this source may keep things in; it is removed with the source."""
        return self.home / OWN / self.source_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of source.

    Attributes:
        config: settings, without unknown ones; ``<secret>_env`` names a variable of the server's
            environment that holds a secret.
        open: makes a source, without waiting for anything.
        reaches: what it reads: this machine's files, the network, or nothing by itself.
        hint: its settings in a line.
        secrets: names of what is kept apart and never shown.
        signs_in_as: settings that say who signs in, which may change with the secrets.
        check: refuses settings that do not fit, and returns those to keep; it may take long.
        title: what it is called in a sentence.
        folder: the folder that joins the allowed ones when the command line declares it.
    """

    name: str
    config: type[msgspec.Struct]
    open: Callable[[Any, Secrets, Context], DocumentSource]
    reaches: Literal["machine", "network", "none"]
    hint: str
    secrets: Sequence[str] = ()
    signs_in_as: Sequence[str] = ()
    check: Callable[[Any, Context], Any] | None = None
    title: Callable[[Any], str] = str
    folder: Callable[[Any], str] | None = None

    def parsed(self, config: Mapping[str, Any]) -> Any:
        """Settings as the kind's struct.

        Raises:
            BadRequest: one is missing, unknown or of another type.
        """
        try:
            return msgspec.convert(dict(config), self.config)
        except msgspec.ValidationError as e:
            raise BadRequest(
                f"The settings of the source do not fit: {e}. A {self.name} takes {self.hint}.",
                param="config",
            ) from e

    def checked(self, config: Mapping[str, Any], secrets: Secrets, context: Context) -> Any:
        """Settings that may be kept, as the kind's struct.

        Raises:
            BadRequest: they do not fit.
            Forbidden: the source may not reach what they name.
        """
        parsed = self.parsed(config)
        unknown = sorted(set(secrets) - set(self.secrets))
        if unknown:
            takes = ", ".join(self.secrets) or "none"
            raise BadRequest(
                f"A {self.name} has no secret {unknown[0]}. It takes: {takes}.", param="secrets"
            )
        named = [name for name in self.secrets if getattr(parsed, f"{name}_env", None)]
        if named and not context.trusted:
            raise Forbidden(
                f"Only the command line may name the variable {named[0]}_env, since it reads the "
                "server's environment. Send the secret itself."
            )
        return parsed if self.check is None else self.check(parsed, context)

    def signed_in(
        self, config: Mapping[str, Any], who: Mapping[str, Any], secrets: Secrets, context: Context
    ) -> Any:
        """Settings with another to sign in as: what is followed stays the same.

        Raises:
            BadRequest: more would change, or they do not fit.
        """
        named = [name for name in self.secrets if config.get(f"{name}_env")]
        if named:
            raise BadRequest(
                f"It takes its {named[0]} from the variable {config[f'{named[0]}_env']} of the "
                "server's environment. Change it there and start the server again.",
                param="secrets",
            )
        other = sorted(set(who) - set(self.signs_in_as))
        if other:
            may = ", ".join(self.signs_in_as) or "none"
            raise BadRequest(
                f"Of the settings of a {self.name}, those that say who signs in may change "
                f"({may}), and {other[0]} does not. Add another source for it.",
                param="config",
            )
        return self.checked({**config, **who}, secrets, context)


def secret(config: msgspec.Struct, secrets: Secrets, name: str) -> str | None:
    """A secret as it was sent, or from the environment where the settings name a variable.

    Raises:
        SourceFault: the variable is not set.
    """
    variable = getattr(config, f"{name}_env", None)
    if variable is None:
        return secrets.get(name)
    value = os.environ.get(variable)
    if value is None:
        raise SourceFault(f"The variable {variable} is not set. Set it and start the server again.")
    return value


def own_files_only(context: Context, **files: str) -> None:
    """Refuse settings that name files of this machine, but for the system user.

    Raises:
        Forbidden: one does.
    """
    for name, path in files.items():
        if path and not context.trusted:
            raise Forbidden(
                f"Only the command line may name a file in {name}. Run: ponant live add"
            )
