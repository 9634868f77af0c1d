"""Ponant over corpora that several rows share, kept under ``.bench`` while the code stays.

Loading 100,000 passages takes minutes, and restart, idling and queries all want them loaded. What
is kept belongs to one state of the code that reads and indexes; another state loads anew.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.engine_peers.contender import CHECKOUT, HOME
from bench.live_peers.contender import Contender, Setup
from bench.live_peers.environments import PONANT
from bench.live_rows.measured import SharedEmbedder

_CODE = ("reading", "indexing")
_LIVE = CHECKOUT / "src" / "ponant" / "live"
_TABLES = CHECKOUT / "src" / "ponant" / "store" / "migrations" / "live" / "versions"
_LOAD_SECONDS = 3600.0


@contextmanager
def library(
    name: str, lay_out: Callable[[Path], object], embedding: SharedEmbedder, *, each: bool = False
) -> Iterator[Contender]:
    """Ponant, in step with a corpus that ``lay_out`` writes; kept for the next row.

    Args:
        each: every folder of the corpus is a library of its own.
    """
    place = HOME / f"live-{name}-{_state_of_the_code()}"
    if not (place / "loaded").exists():
        for old in HOME.glob(f"live-{name}-*"):
            shutil.rmtree(old)
        place.mkdir(parents=True)
        lay_out(place / "corpus")
    setup = Setup(PONANT.name, PONANT.python, PONANT.module, options={"each": each})
    contender = Contender(setup, place / "corpus", embedding.url, place)
    try:
        seconds = contender.wait_until(Contender.in_step, _LOAD_SECONDS)
        if not (place / "loaded").exists():
            (place / "loaded").write_text(str(seconds))
        yield contender
    finally:
        contender.close()


def _state_of_the_code() -> str:
    digest = hashlib.sha256()
    for path in sorted(
        [*_TABLES.glob("*.py"), *(one for room in _CODE for one in (_LIVE / room).glob("*.py"))]
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
