"""Documents that are found by meaning are counted now and then, not at each edit."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from ponant.live.indexing.ingestion import Ingestion
from ponant.live.queries import Queries
from ponant.live.sources.meaning import Meaning
from ponant.store import Scope

_LIBRARY = "lib_1"
_SCOPE = Scope(workspace_id="ws_1")


class _Counting:
    """An ingestion whose library lacks what a test says, and its queries, which are counted."""

    def __init__(self) -> None:
        self.lacking = Counter[str]()
        self.counts = 0

    async def aside(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    def half_found(self, *_: Any) -> dict[str, int]:
        self.counts += 1
        return {"src_1": 1}


def test_edits_one_after_another_are_counted_once() -> None:
    async def run() -> int:
        counting = _Counting()
        meaning = Meaning(cast("Ingestion", counting), cast("Queries", counting))
        for _ in range(20):
            counting.lacking[_LIBRARY] = 1  # an edit came, and its vector did
            await meaning.count(_SCOPE, _LIBRARY)
            counting.lacking[_LIBRARY] = 0
            await meaning.count(_SCOPE, _LIBRARY)
        await meaning.close()
        return counting.counts

    assert asyncio.run(run()) == 1
