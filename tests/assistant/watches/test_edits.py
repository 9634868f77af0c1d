"""Of many edits, those that change the truth are told, and nearly none of the others."""

import pytest

from tests.assistant.watches.conftest import Post
from tests.assistant.watches.edits import Town

pytestmark = pytest.mark.anyio

_CHANGES, _OTHERS = 10, 20
_FALSE = 0.05


@pytest.mark.timeout(600)  # on a busy machine; five seconds on a quiet one
async def test_a_tenth_of_three_hundred_edits(post: Post) -> None:
    town = Town(
        post.live, post.watches, post.clock, post.owner, model="extractor", places=12, seed=4
    )
    await town.build()
    assert post.model.calls == 12
    counts = await town.run(_CHANGES, _OTHERS)
    assert counts.missed == 0, counts.faults
    assert counts.false <= _FALSE * _OTHERS, counts.faults
    assert counts.calls == post.model.calls - 12
    assert counts.stands > 0  # evidence moved, and the answer stood
