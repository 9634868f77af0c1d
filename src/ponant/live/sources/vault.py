"""What sources sign in with, sealed on its way into the database and opened on its way out."""

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import update

from ponant.kit.sealing import CannotOpen, Seal, is_sealed
from ponant.live import repository
from ponant.live.declarations import Declared
from ponant.live.sources.port import SignInRefused
from ponant.live.tables import SourceRow
from ponant.store import Database, Scope, in_scope


class Vault:
    """Seals the secrets of sources, each bound to its library and its name."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def closed(self, library_id: str, declared: Declared) -> Declared:
        """A declaration as it is stored."""
        sealed = {
            name: self._seal.seal(value, _about(library_id, name))
            for name, value in declared.secrets.items()
        }
        return replace(declared, secrets=sealed)

    def anew(
        self, library_id: str, stored: Mapping[str, str], given: Mapping[str, str]
    ) -> dict[str, str]:
        """What is stored once these secrets were given anew; the others stay as they are."""
        sealed = {
            name: self._seal.seal(value, _about(library_id, name)) for name, value in given.items()
        }
        return {**stored, **sealed}

    def opened(self, library_id: str, stored: Mapping[str, str]) -> dict[str, str]:
        """What a source signs in with.

        Raises:
            SignInRefused: the key is not there; the source stays, and goes on once it is.
        """
        try:
            return {
                name: self._seal.open(value, _about(library_id, name))
                for name, value in stored.items()
            }
        except CannotOpen as e:
            raise SignInRefused(
                f"What it signs in with cannot be opened. {e} Or give the source its secrets "
                "anew: what it brought stays."
            ) from e

    def renew(self, database: Database, scope: Scope, library_id: str, source_id: str) -> bool:
        """Seal what was stored before there were seals, or with another key than new ones are.

        What cannot be opened stays as it is. Returns whether something was sealed.
        """
        with database.read() as session:
            stored = repository.secrets(session, scope, library_id, source_id)
        fresh = self._renewed(library_id, stored)
        if fresh is None:
            return False
        with database.write_over() as session:
            session.execute(
                update(SourceRow)
                .where(SourceRow.id == source_id, in_scope(SourceRow, scope))
                .values(secrets=fresh)
                .execution_options(synchronize_session=False)
            )
        return True

    def _renewed(self, library_id: str, stored: Mapping[str, str]) -> dict[str, str] | None:
        if all(is_sealed(one) and self._seal.is_current(one) for one in stored.values()):
            return None
        try:
            return {
                name: self._seal.seal(self._seal.open(value, about), about)
                for name, value in stored.items()
                for about in (_about(library_id, name),)
            }
        except CannotOpen:
            return None


def _about(library_id: str, name: str) -> str:
    return f"{library_id}:{name}"
