"""Keys, tokens and cookies: made from 256 bits of chance, stored as SHA-256.

A slow password hash guards against guessing what people choose. Nobody guesses 256 random bits, so
a fast hash is right for them, and its value can be looked up by index. The one credential that a
person chooses, PONANT_ADMIN_KEY, has a least length and is held to the same care by its owner.
"""

import hashlib
import hmac
import secrets

from ponant.kit.errors import SetupError

KEY_PREFIX = "pnt_"
_BYTES = 32
_HINT_CHARACTERS = 4
_LEAST_CHOSEN = 16


def make_key() -> str:
    """A fresh API key."""
    return KEY_PREFIX + secrets.token_urlsafe(_BYTES)


def make_token() -> str:
    """A fresh secret for a sign-in link or a session cookie."""
    return secrets.token_urlsafe(_BYTES)


def digest(secret: str) -> str:
    """What is stored of a secret: SHA-256, in hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two digests are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)


def hint(key: str) -> str:
    """The end of a generated key, by which its owner knows it again."""
    return key[-_HINT_CHARACTERS:]


def check_chosen(key: str) -> None:
    """Refuse a key that an operator chose too short or that no header can carry.

    Raises:
        SetupError: says what a key must be.
    """
    if len(key) < _LEAST_CHOSEN:
        raise SetupError(
            f"PONANT_ADMIN_KEY has {len(key)} characters and needs at least {_LEAST_CHOSEN}. "
            "`openssl rand -hex 32` makes a good one."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SetupError(
            "PONANT_ADMIN_KEY has a character that no HTTP header carries. Use letters, digits "
            "and punctuation, without spaces."
        )
