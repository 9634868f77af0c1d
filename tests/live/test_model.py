"""Whatever happens to a folder, the library says what the folder says (model-based)."""

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from ponant.kit.errors import NotFound
from ponant.live.knowledge import Knowledge
from ponant.store import Scope
from tests.live.conftest import SCOPE, Installation, eventually

_NAMES = st.sampled_from(["a.md", "b.md", "c.txt", "sub/d.md", "sub/e.txt"])
_WORDS = st.sampled_from(["amber", "birch", "cedar", "dune", "ember"])
_ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), _NAMES, st.lists(_WORDS, min_size=1, max_size=4)),
        st.tuples(st.just("delete"), _NAMES, st.just([])),
        st.tuples(st.just("rename"), _NAMES, _NAMES),
        st.tuples(st.just("wait"), st.just(""), st.just([])),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.timeout(900)  # all examples are one test
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(actions=_ACTIONS)
def test_the_index_follows_the_folder(installation: Installation, actions) -> None:
    for folder in (installation.home, installation.folder):
        shutil.rmtree(folder)
        folder.mkdir()
    installation.changes.clear()
    asyncio.run(_play(installation, actions))


async def _play(installation: Installation, actions) -> None:
    async with installation.running() as knowledge:
        library = await knowledge.create_library(SCOPE, "Model")
        config = {"path": str(installation.folder)}
        await knowledge.add_source(SCOPE, library.id, "folder", config)
        for kind, name, what in actions:
            await _act(installation, kind, name, what)
        expected = _folder(installation.folder)
        await eventually(lambda: _at_rest(knowledge, library.id), lambda stored: stored == expected)
        await _check(knowledge, library.id, expected)
    versions = [change.version for change in installation.changes if change.documents]
    # A version that is stored while an older one is told is named in both messages.
    assert versions == sorted(versions)


async def _act(installation: Installation, kind: str, name: str, what) -> None:
    path = installation.folder / name
    if kind == "write":
        installation.write(name, "\n\n".join(f"# {word}\n\nThe {word} is {name}." for word in what))
    elif kind == "delete":
        path.unlink(missing_ok=True)
    elif kind == "rename" and path.exists():
        (installation.folder / what).parent.mkdir(exist_ok=True)
        path.rename(installation.folder / what)
    elif kind == "wait":
        await asyncio.sleep(0.15)


def _folder(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


async def _at_rest(knowledge: Knowledge, library_id: str) -> dict[str, str] | None:
    """What is stored while nothing is on its way: a file that went may still be being read."""
    library = await knowledge.get_library(SCOPE, library_id)
    if library.freshness.state == "syncing":  # an empty folder is told as an error
        return None
    try:
        return await _stored(knowledge, library_id)
    except NotFound:  # it went between the list and its text
        return None


async def _stored(knowledge: Knowledge, library_id: str) -> dict[str, str]:
    documents = await knowledge.list_documents(SCOPE, library_id)
    return {d.path: await knowledge.document_text(SCOPE, library_id, d.id) for d in documents}


async def _check(knowledge: Knowledge, library_id: str, expected: dict[str, str]) -> None:
    """Search sees exactly what is live, and no row or vector is left over."""
    for word in ("amber", "birch", "cedar", "dune", "ember"):
        found = await knowledge.search(SCOPE, [library_id], word, 50)
        by_keyword = {h.document_id for h in found.hits if h.keyword_rank is not None}
        documents = await knowledge.list_documents(SCOPE, library_id)
        named = {d.id for d in documents if word in expected[d.path]}
        assert by_keyword == named
        assert all(h.text in expected[_path(documents, h.document_id)] for h in found.hits)
    index = knowledge._index
    with index.database.read() as session:
        rows = set(session.scalars(text(_PASSAGES).bindparams(**_SCOPE)))
        keywords = set(session.scalars(text(_KEYWORDS)))
        vectors = set(session.scalars(text(_VECTORS).bindparams(**_SCOPE)))
        spare = set(session.scalars(text("SELECT input_hash FROM live_spare")))
        inputs = set(session.scalars(text(_INPUTS).bindparams(**_SCOPE)))
    assert keywords == rows
    assert vectors - spare == inputs - spare
    assert inputs <= vectors
    snapshot = index._vectors[library_id].latest if rows or library_id in index._vectors else None
    if snapshot is not None:
        assert snapshot.ids == rows
        assert snapshot.search(np.ones(64, np.float32), 5) or not rows


def _path(documents, document_id: str) -> str:
    return next(d.path for d in documents if d.id == document_id)


_SCOPE = Scope(workspace_id="wsp_1").parameters(kind="workspace")
_PASSAGES = "SELECT id FROM live_passages WHERE workspace_id = :scope_workspace_id"
_KEYWORDS = "SELECT rowid FROM live_terms_a UNION ALL SELECT rowid FROM live_terms_b"
_VECTORS = "SELECT input_hash FROM live_vectors WHERE workspace_id = :scope_workspace_id"
_INPUTS = "SELECT input_hash FROM live_passages WHERE workspace_id = :scope_workspace_id"
