"""What is pushed answers when the push does; the same again, or an older one, is nothing."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.kit.errors import BadRequest, NotFound
from ponant.live.knowledge import Knowledge
from ponant.live.sources.followers import Followers
from ponant.live.sources.push import Pushed, PushedDeletion, PushedDocument
from tests.live.conftest import SCOPE, STRANGER, Installation


def _followers(knowledge: Knowledge) -> Followers:
    found = knowledge.parts["sources"]
    assert isinstance(found, Followers)
    return found


async def _push(knowledge: Knowledge, library_id: str, *documents: PushedDocument) -> Pushed:
    return await _followers(knowledge).push(SCOPE, library_id, list(documents), [])


async def _delete(knowledge: Knowledge, library_id: str, key: str, version: int | None) -> Pushed:
    deletion = PushedDeletion(key=key, version=version)
    return await _followers(knowledge).push(SCOPE, library_id, [], [deletion])


def _document(key: str, text: str, version: int | None = None) -> PushedDocument:
    return PushedDocument(key=key, text=text, version=version)


async def _texts(knowledge: Knowledge, library_id: str, query: str) -> list[str]:
    return [hit.text for hit in (await knowledge.search(SCOPE, [library_id], query)).hits]


def test_a_push_is_found_at_the_version_that_it_names(installation: Installation) -> None:
    async def run() -> None:
        async with installation.running() as knowledge:
            library = await knowledge.create_library(SCOPE, "Tickets")
            for text in ("The boiler is cold.", "The boiler is warm."):
                pushed = await _push(knowledge, library.id, _document("t/1", text))
                assert [one.state for one in pushed.documents] == ["stored"]
                found = await knowledge.search(SCOPE, [library.id], "boiler")
                assert found.version >= pushed.version
                assert [hit.text for hit in found.hits] == [text]
            (source,) = await knowledge.list_sources(SCOPE, library.id)
            assert (source.kind, source.state, source.seen) == ("push", "in_step", 1)

    asyncio.run(run())


def test_the_same_and_the_older_change_nothing(installation: Installation) -> None:
    async def run() -> None:
        async with installation.running() as knowledge:
            library = await knowledge.create_library(SCOPE, "Tickets")
            first = await _push(knowledge, library.id, _document("1", "Version two.", 2))
            for document, state in (
                (_document("1", "Version two.", 2), "unchanged"),
                (_document("1", "Version one.", 1), "older"),
            ):
                again = await _push(knowledge, library.id, document)
                assert (again.documents[0].state, again.version) == (state, first.version)
            late = await _delete(knowledge, library.id, "1", 1)
            assert late.documents[0].state == "older"
            assert await _texts(knowledge, library.id, "version") == ["Version two."]
            gone = await _delete(knowledge, library.id, "1", 3)
            assert gone.documents[0].state == "deleted"
        async with installation.running() as knowledge:  # what was deleted is remembered
            late = await _push(knowledge, library.id, _document("1", "Version two.", 2))
            assert late.documents[0].state == "older"
            assert await _texts(knowledge, library.id, "version") == []
            back = await _push(knowledge, library.id, _document("1", "Version four.", 4))
            assert back.documents[0].state == "stored"
            missing = await _delete(knowledge, library.id, "2", None)
            assert missing.documents[0].state == "missing"

    asyncio.run(run())


def test_what_is_said_beside_the_text_is_stored_too(installation: Installation) -> None:
    async def run() -> None:
        async with installation.running() as knowledge:
            library = await knowledge.create_library(SCOPE, "Tickets")
            for status in ("open", "closed"):
                document = PushedDocument(
                    key="1", text="The boiler.", url="https://t/1", metadata={"status": status}
                )
                await _push(knowledge, library.id, document)
            (found,) = (await knowledge.search(SCOPE, [library.id], "boiler")).hits
            assert (found.metadata, found.url) == ({"status": "closed"}, "https://t/1")

    asyncio.run(run())


def test_a_push_that_does_not_fit_stores_nothing(installation: Installation) -> None:
    async def run() -> None:
        async with installation.running() as knowledge:
            library = await knowledge.create_library(SCOPE, "Tickets")
            good = _document("good", "The boiler.")
            for bad in (
                PushedDocument(key=""),
                PushedDocument(key="x" * 501, text="a"),
                PushedDocument(key="neither"),
                PushedDocument(key="both", text="a", data=b"a"),
                PushedDocument(key="kind", data=b"a"),
                PushedDocument(key="kind", data=b"a", media_type="video/mp4"),
            ):
                with pytest.raises(BadRequest):
                    await _push(knowledge, library.id, good, bad)
            with pytest.raises(NotFound):
                await _followers(knowledge).push(STRANGER, library.id, [good], [])
            assert await knowledge.list_documents(SCOPE, library.id) == []

    asyncio.run(run())


def test_what_cannot_be_read_is_said_and_may_be_pushed_again(installation: Installation) -> None:
    async def run() -> None:
        async with installation.running() as knowledge:
            library = await knowledge.create_library(SCOPE, "Tickets")
            broken = PushedDocument(key="a.txt", data=b"\0\0", version=1)
            failed = await _push(knowledge, library.id, broken)
            assert failed.documents[0].state == "failed"
            (shown,) = await knowledge.list_documents(SCOPE, library.id)
            assert shown.message
            mended = PushedDocument(key="a.txt", data=b"The boiler.", version=1)
            assert (await _push(knowledge, library.id, mended)).documents[0].state == "stored"

    asyncio.run(run())


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 6), st.booleans()), min_size=1, max_size=10
    )
)
def test_any_order_ends_at_the_newest_version(
    tmp_path_factory: pytest.TempPathFactory, pushes: list[tuple[str, int, bool]]
) -> None:
    """A key, a version and whether it is there; equal versions say the same."""
    folder = tmp_path_factory.mktemp("push")
    (folder / "home").mkdir()
    there = Installation(folder / "home", folder, None)  # type: ignore[arg-type]
    said = {(key, version): is_there for key, version, is_there in pushes}

    async def run() -> None:
        async with there.running(connect=False) as knowledge:
            library = await knowledge.create_library(SCOPE, "Tickets")
            for key, version, _ in pushes:
                if said[key, version]:
                    await _push(knowledge, library.id, _document(key, f"{key} {version}", version))
                else:
                    await _delete(knowledge, library.id, key, version)
            newest = {key: max(v for k, v in said if k == key) for key, _ in said}
            expected = {f"{key} {version}" for key, version in newest.items() if said[key, version]}
            documents = await knowledge.list_documents(SCOPE, library.id)
            texts = {await knowledge.document_text(SCOPE, library.id, one.id) for one in documents}
            assert texts == expected

    asyncio.run(run())
