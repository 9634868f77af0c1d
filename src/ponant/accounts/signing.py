"""Addresses that open one thing for a while, without a key.

What they open, and for whom, stands in them under an HMAC-SHA256. Whoever holds one reads what the
person may read who asked for it, at that moment: nothing once they may not, or are gone.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from datetime import timedelta
from pathlib import Path

import msgspec

from ponant.accounts.principal import Principal
from ponant.kit import Clock
from ponant.kit.errors import NotFound

_FILE = "signing.key"
_BYTES = 32
_LONGEST_LIFE = timedelta(days=7)


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What an address opens: ``what`` of the things ``ids`` name, in somebody's scope."""

    what: str
    ids: tuple[str, ...]
    organisation_id: str
    workspace_id: str
    person_id: str
    until: float  # seconds since 1970


class Signer:
    """Makes and reads such addresses' last part, with a key that is kept under the home."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self._path = home / _FILE
        self._clock = clock

    def sign(self, caller: Principal, what: str, ids: tuple[str, ...], life: timedelta) -> str:
        """A token; ``life`` is at most a week."""
        until = self._clock.now() + min(life, _LONGEST_LIFE)
        grant = Grant(
            what=what,
            ids=ids,
            organisation_id=caller.organisation_id,
            workspace_id=caller.workspace_id,
            person_id=caller.person_id,
            until=until.timestamp(),
        )
        body = msgspec.json.encode(grant)
        return _text(self._mac(body) + body)

    def read(self, token: str) -> Grant:
        """What a token opens.

        Raises:
            NotFound: it was made up, or its time is over.
        """
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError) as e:
            raise _over() from e
        mac, body = raw[:_BYTES], raw[_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise _over()
        grant = msgspec.json.decode(body, type=Grant)
        if grant.until <= self._clock.now().timestamp():
            raise _over()
        return grant

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key(), body, hashlib.sha256)

    def _key(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            pass
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:  # another process was quicker
            return self._path.read_bytes()
        with os.fdopen(handle, "wb") as file:
            file.write(key := secrets.token_bytes(_BYTES))
        return key


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _over() -> NotFound:
    return NotFound("This address opens nothing, or not any more. Ask for a fresh one.")
