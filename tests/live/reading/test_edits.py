"""What is embedded after an edit is what the edit touched, and an edit taken back costs nothing."""

import asyncio
import random
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from ponant.kit import SystemClock
from ponant.live.declarations import Declarations
from ponant.live.indexing import vector_rows
from ponant.live.indexing.embedding import EmbeddingGate
from ponant.live.indexing.index import Index
from ponant.live.indexing.ingestion import Home, Ingestion, Known
from ponant.live.sources.port import Content
from ponant.store import Database
from tests.fakes.embedder import FakeEmbedder
from tests.live.conftest import SCOPE

_WORDS = ["harbour", "desk", "key", "summer", "opens", "closes", "late", "ferry", "and", "the"]


_LEAVE_BEHIND = text(
    "INSERT INTO live_spare (id, workspace_id, input_hash) "
    "SELECT max(id) + :count, :scope_workspace_id, 'later' || max(id) FROM live_spare"
)


class _Library:
    """One document, taken in again after every edit, without a folder between."""

    def __init__(self, home: Path) -> None:
        self._database = Database.at(home / "live.db")
        self._database.migrate("live")
        clock = SystemClock()
        index, gate = Index(self._database, clock), EmbeddingGate()
        self.embedder = FakeEmbedder()
        index.load_vectors(self.embedder.identity)
        gate.connect(self.embedder)
        self._ingestion = Ingestion(index, gate, lambda *_: None)
        library_id = Declarations(self._database, clock).create_library(SCOPE, "L", "", None)
        self._home = Home(SCOPE, library_id, None)
        self._known: Known | None = None

    async def take(self, text: str, *, hurry: bool = False) -> list[str]:
        """Take a version in; what was embedded for it."""
        before = len(self.embedder.passages)
        content = Content.of(text.encode(), "")
        self._known = await self._ingestion.take(
            self._home, self._known, "a.md", "a.md", content, hurry=hurry
        )
        return self.embedder.passages[before:]

    async def fill(self, text: str) -> None:
        """Take a first version in with all its vectors, however many they are."""
        await self.take(text, hurry=True)
        index = self._ingestion.index
        with index.database.read() as session:
            rows = vector_rows.without_vector(session, SCOPE, self._home.library_id, 10_000)
            inputs = {
                row.id: (row.input_hash, f"{row.heading}\n{row.text}" if row.heading else row.text)
                for row in rows
            }
        vectors = await self.embedder.embed([text for _, text in inputs.values()], "passage")
        found = {
            row: (key, vector)
            for (row, (key, _)), vector in zip(inputs.items(), vectors, strict=True)
        }
        index.put_vectors(SCOPE, self._home.library_id, self.embedder.identity, found)

    def leave_behind(self, count: int) -> None:
        """Let it seem that so many vectors lost their passages since."""
        with self._database.write() as session:
            session.execute(_LEAVE_BEHIND, {"count": count, **SCOPE.parameters(kind="workspace")})

    async def close(self) -> None:
        await self._ingestion.close()
        self._database.close()


def _paragraph(rng: random.Random, least: int = 25) -> str:
    return " ".join(rng.choices(_WORDS, k=rng.randint(least, 60))) + f" {rng.random()}."


def test_one_paragraph_among_a_thousand_costs_one_embedding(tmp_path: Path) -> None:
    async def run() -> None:
        rng = random.Random(1)
        paragraphs = [_paragraph(rng) for _ in range(1000)]
        library = _Library(tmp_path)
        await library.fill("\n\n".join(paragraphs))
        assert len(library.embedder.passages) >= 1000
        for place in (0, 499, 999):
            kept, paragraphs[place] = paragraphs[place], _paragraph(rng)
            assert await library.take("\n\n".join(paragraphs)) == [paragraphs[place]]
            paragraphs[place] = kept
            assert await library.take("\n\n".join(paragraphs)) == [], "an undo costs nothing"
        await library.close()

    asyncio.run(run())


_EDITS = st.lists(
    st.tuples(st.sampled_from(["change", "insert", "delete", "move"]), st.integers(0, 10_000)),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("edits")


_examples = count()


@settings(max_examples=12, deadline=None)
@given(rounds=st.lists(_EDITS, min_size=1, max_size=5), seed=st.integers(0, 1000))
def test_an_edit_embeds_what_it_touched_and_its_neighbours(
    folder: Path, rounds: list[list[tuple[str, int]]], seed: int
) -> None:
    async def run() -> None:
        rng = random.Random(f"{seed} {next(_examples)}")  # no vector is known from another one
        library = _Library(folder)
        paragraphs = [_paragraph(rng, least=2) for _ in range(60)]
        await library.fill("\n\n".join(paragraphs))
        for edits in rounds:
            for what, number in edits:
                _edit(paragraphs, what, number, rng)
            embedded = await library.take("\n\n".join(paragraphs))
            # A paragraph's passage, and the one whose beginning or end it moved; a move does so
            # in two places.
            assert len(embedded) <= 4 * len(edits)
            assert await library.take("\n\n".join(paragraphs)) == []
        await library.close()

    asyncio.run(run())


def test_vectors_without_passages_are_bounded(tmp_path: Path) -> None:
    async def run() -> None:
        library = _Library(tmp_path)
        first, second = "The harbour is closed in winter.", "It is open in summer."
        assert await library.take(first) == [first]
        assert await library.take(second) == [second]
        library.leave_behind(9_999)
        assert await library.take(first) == []
        assert await library.take(second) == []
        library.leave_behind(10_001)
        assert await library.take(second) == [], "a vector in use stays, however long unneeded"
        assert await library.take(first) == [first]
        await library.close()

    asyncio.run(run())


def _edit(paragraphs: list[str], what: str, number: int, rng: random.Random) -> None:
    place = number % len(paragraphs)
    if what == "change":
        paragraphs[place] = _paragraph(rng, least=2)
    elif what == "insert":
        paragraphs.insert(place, _paragraph(rng, least=2))
    elif what == "delete" and len(paragraphs) > 1:
        del paragraphs[place]
    elif what == "move":
        paragraphs.append(paragraphs.pop(place))
