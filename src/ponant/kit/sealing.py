"""Seals what no copy of a database may tell: AES-256-GCM, with a key that lies apart.

The key is what PONANT_SECRETS_KEY says, or a file under the home that only its owner reads. What
was sealed with the file's key is still opened once the setting names another, and with a key of
before that lies beside the file, as secrets.key.old or by any other name that goes on like this.
"""

import base64
import binascii
import hashlib
import os
import secrets
import time
from pathlib import Path

FILE = "secrets.key"

_MARK = "sealed:1:"
_BYTES = 32
_NONCE = 12  # bytes; NIST SP 800-38D, 5.2.1.1
_NAMED = 12  # letters that name a key
_WRITTEN_SECONDS = 2.0  # until a file that holds no key is taken to be damaged
_GLANCE_SECONDS = 0.01


class CannotOpen(Exception):
    """Something sealed whose key is not there; the message says the mend."""


class Seal:
    """Seals and opens texts.

    Args:
        given: the operator's key, a text of any kind; None is the file under ``home``, made when
            something is first sealed.
    """

    def __init__(self, home: Path, given: str | None = None) -> None:
        self._path = home / FILE
        self._given = None if given is None else hashlib.sha256(given.encode()).digest()

    def seal(self, text: str, about: str) -> str:
        """A text that `open` reads with the same ``about``, which says whose it is."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - seldom used

        key = self._given or self._own_key()
        nonce = secrets.token_bytes(_NONCE)
        sealed = AESGCM(key).encrypt(nonce, text.encode(), about.encode())
        return f"{_MARK}{_name(key)}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, about: str) -> str:
        """The text; one that was stored before there were seals is as it is.

        Raises:
            CannotOpen: it was sealed with another key, for another place, or is damaged.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - seldom used
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        if not is_sealed(sealed):
            return sealed
        name, _, body = sealed.removeprefix(_MARK).partition(":")
        key = next((key for key in self._keys() if _name(key) == name), None)
        if key is None:
            raise CannotOpen(self._lost())
        try:
            raw = base64.b64decode(body, validate=True)
            return AESGCM(key).decrypt(raw[:_NONCE], raw[_NONCE:], about.encode()).decode()
        except (InvalidTag, ValueError, binascii.Error) as e:
            raise CannotOpen("It is damaged.") from e

    def is_current(self, sealed: str) -> bool:
        """Whether a text is sealed with the key that new ones are."""
        key = self._given or self._read()
        return key is not None and sealed.startswith(f"{_MARK}{_name(key)}:")

    def _keys(self) -> list[bytes]:
        former = sorted(self._path.parent.glob(f"{FILE}.*"))
        files = (_key_in(path) for path in (self._path, *former))
        return [key for key in (self._given, *files) if key is not None]

    def _lost(self) -> str:
        if self._given is not None:
            return "PONANT_SECRETS_KEY is not the key it was sealed with. Set the one of before."
        if self._read() is None:
            return f"Its key is gone: {self._path} is missing. Put it back from a backup."
        return (
            f"{self._path} is not the key it was sealed with. Put the one of before beside it, as "
            f"{FILE}.old: what was sealed since opens too."
        )

    def _read(self) -> bytes | None:
        return _key_in(self._path)

    def _own_key(self) -> bytes:
        if (key := self._read()) is not None:
            return key
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return self._written()
        with os.fdopen(handle, "wb") as file:
            file.write(key := secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())  # what it seals is worth nothing without it
        return key

    def _written(self) -> bytes:
        """The key that another process was quicker to make, and may still be writing."""
        deadline = time.monotonic() + _WRITTEN_SECONDS
        while (key := self._read()) is None:
            if time.monotonic() > deadline:
                raise CannotOpen(
                    f"{self._path} holds no key. Put back the one of before, or remove it."
                )
            time.sleep(_GLANCE_SECONDS)
        return key


def _key_in(path: Path) -> bytes | None:
    try:
        key = path.read_bytes()
    except OSError:
        return None
    return key if len(key) == _BYTES else None


def is_sealed(text: str) -> bool:
    """Whether a stored text is sealed."""
    return text.startswith(_MARK)


def _name(key: bytes) -> str:
    """A name for a key that tells nothing of it."""
    return hashlib.sha256(b"ponant key " + key).hexdigest()[:_NAMED]
