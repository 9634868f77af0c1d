"""How long tests wait for what must come: long, since the machine may have much else to do."""

import time
from collections.abc import Iterator

PATIENCE = 120.0  # seconds


def tries() -> Iterator[None]:
    """As often as one likes to look again, until patience ends."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        yield
