"""Live tables of a test's own, in their process."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from ponant.live.relations.service import Relations
from ponant.store import Scope

SCOPE = Scope(organisation_id="org_1", workspace_id="wsp_1", person_id="per_1")
STRANGER = Scope(organisation_id="org_2", workspace_id="wsp_2", person_id="per_2")

Opening = Callable[..., AbstractAsyncContextManager[Relations]]


@pytest.fixture
def opening(tmp_path: Path) -> Opening:
    """Opens the tables of one home, any number of times."""

    @asynccontextmanager
    async def running(seconds: float = 100.0) -> AsyncIterator[Relations]:
        relations = Relations(tmp_path, memory=256 << 20, seconds=seconds)
        await relations.start()
        try:
            yield relations
        finally:
            await relations.close()

    return running
