"""Prefixed ids that sort by the time they were made (ULID: 48 bits of time, 80 of chance)."""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26


def new_id(prefix: str) -> str:
    """A fresh id such as ``key_01jd3m0v8r…``: sortable by millisecond, unique across machines.

    Args:
        prefix: what the id names, in lower case and without the underscore.
    """
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    digits = [_ALPHABET[number >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5)]
    return f"{prefix}_{''.join(digits)}"
