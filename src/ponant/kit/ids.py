"""Prefixed ids that sort by the time they were made (ULID: 48 bits of time, 80 of chance)."""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_PLACES = range(10 * (26 // 2 - 1), -1, -10)  # of the digits' pairs, ten bits each


def new_id(prefix: str) -> str:
    """A fresh id such as ``key_01jd3m0v8r…``: sortable by millisecond, unique across machines.

    Args:
        prefix: what the id names, in lower case and without the underscore.
    """
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    return f"{prefix}_{''.join([_PAIRS[number >> place & 1023] for place in _PLACES])}"
