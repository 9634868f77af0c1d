"""Named places between a source and the index where a test may end the process.

A test names a file in ``PONANT_LIVE_FAULT`` and writes a point's name into it; the process that
passes there next removes the file and kills itself, as a loss of power would. Without the variable
a point costs a comparison.
"""

import os
import signal
from pathlib import Path
from typing import Final

POINTS: Final = (
    "read",  # a source gave a document's bytes
    "parsed",  # they are text
    "cut",  # the text is passages
    "embedded",  # their vectors are at hand
    "changed",  # the transaction holds the change, but not the version
    "staged",  # the vectors of the next version are in memory, and SQL is about to commit
    "committed",  # SQL says the next version, memory does not
    "stored",  # nobody was told yet
    "filled",  # vectors that were missing are computed, and not stored
    "deleting",  # documents are about to be deleted
)

_FILE = os.environ.get("PONANT_LIVE_FAULT")


def point(name: str) -> None:
    """End the process here if a test asked for it."""
    if _FILE is None:
        return
    file = Path(_FILE)
    try:
        wanted = file.read_text()
    except FileNotFoundError:
        return
    if wanted == name:
        file.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
