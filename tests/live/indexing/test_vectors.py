"""Each version of the vector index answers with its own rows, whatever came after."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.live.indexing.vectors import LibraryVectors, Rows

_STEPS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 1000), st.booleans()), min_size=1, max_size=30
)


@settings(max_examples=50, deadline=None)
@given(_STEPS)
def test_every_version_keeps_its_rows(steps: list[tuple[int, int, bool]]) -> None:
    index = LibraryVectors(0)
    rng = np.random.default_rng(0)
    alive: dict[int, np.ndarray] = {}
    history = {0: set[int]()}
    next_row = 1
    for version, (adds, removes, commits) in enumerate(steps, start=1):
        removed = list(alive)[:removes]
        added = {}
        for _ in range(adds):
            added[next_row] = rng.standard_normal(4).astype(np.float32)
            next_row += 1
        index.stage(version, removed, Rows.of({row: ("doc", v) for row, v in added.items()}))
        if not commits:
            index.discard(version)
            continue
        index.publish(version)
        alive = {row: v for row, v in alive.items() if row not in set(removed)} | added
        history[version] = set(alive)
    for version, rows in history.items():
        snapshot = index.at(version)
        assert snapshot is None or snapshot.ids == rows
    found = index.latest.search(np.array([1, 0, 0, 0], np.float32), 5)
    expected = sorted(((float(v[0]), row) for row, v in alive.items()), reverse=True)[:5]
    np.testing.assert_allclose([s for _, s in found], [s for s, _ in expected], rtol=1e-5)
