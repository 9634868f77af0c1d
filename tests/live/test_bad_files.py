"""Files that harm their reader: each is named with its mend, and the rest of the folder answers."""

import asyncio
import resource
import signal
import sys
import zlib
from collections.abc import Awaitable, Callable

import psutil
import pytest

from ponant.live.knowledge import Knowledge
from ponant.live.port import Document
from ponant.live.reading import parsing
from tests.live.conftest import SCOPE, Installation, eventually, in_step
from tests.live.documents import docx, packed, pdf
from tests.processes import children

_AGAIN = "Save it anew or in another format, and it is read again."
_SPARE = 64 * 2**20  # bytes that a starved parser may take beyond what it has


def _write_all(installation: Installation) -> None:
    folder = installation.folder
    with (folder / "huge.txt").open("wb") as file:
        file.truncate(2 * 2**30)
    (folder / "bomb.zip").write_bytes(packed({"a.txt": b"\0" * 300_000_000}))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    (folder / "noise.txt").write_bytes(bytes(range(256)) * 40)
    outside = folder.parent / "outside.md"
    outside.write_text("The password is sesame.")
    (folder / "link.md").symlink_to(outside)
    installation.write("plain.md", "The boiler is in the cellar.")
    (folder / "sheet.pdf").write_bytes(pdf("Lanterns hang in the attic."))
    (folder / "letter.docx").write_bytes(docx("Ferries leave at dawn."))
    (folder / "koi8.txt").write_bytes("Ключи лежат у дежурного на первом этаже.".encode("koi8_r"))
    declared = '<meta charset="utf-8"><p>Окна моют по средам, а двери красят весной, пока сухо.'
    (folder / "wrong.html").write_bytes(declared.encode("cp1251"))


_GOOD = {
    "plain.md": ("boiler", "in the cellar"),
    "sheet.pdf": ("lanterns", "in the attic"),
    "letter.docx": ("ferries", "leave at dawn"),
    "koi8.txt": ("ключи", "у дежурного"),
    "wrong.html": ("окна", "по средам"),
}
_BAD = {
    "huge.txt": "The file has 2048 MiB; the most is 100. Split it.",
    "bomb.zip": "The file cannot be read: it unpacks to 1,028 times its size, as a bomb does. "
    "Unpack it and add the files that you need.",
    "broken.pdf": f"The file cannot be read: Invalid PDF. {_AGAIN}",
    "noise.txt": "The file cannot be read: it is not text in any encoding that can be told. "
    "Save it as UTF-8.",
}


def test_bad_files_of_a_folder_are_named_with_their_mend_and_the_rest_answers(
    installation: Installation,
) -> None:
    _write_all(installation)

    async def run() -> None:
        async with installation.running() as knowledge:
            library_id = await _followed(knowledge, installation)
            await in_step(knowledge, library_id, len(_GOOD) + len(_BAD))
            documents = await knowledge.list_documents(SCOPE, library_id)
            assert {one.path: one.message for one in documents if one.state == "failed"} == _BAD
            assert {one.path for one in documents if one.state == "indexed"} == set(_GOOD)
            (source,) = await knowledge.list_sources(SCOPE, library_id)
            assert (source.state, source.failed) == ("in_step", len(_BAD))
            link = "link.md is a link that leads out of the folder; put the file there."
            assert link in source.message
            for query, text in _GOOD.values():
                assert text in await _said(knowledge, library_id, query)
            assert "sesame" not in await _said(knowledge, library_id, "password sesame")
            # Whoever follows the mend has the file read.
            (installation.folder / "noise.txt").write_text("Oars lean on the wall.")
            await _state(knowledge, library_id, "noise.txt", "indexed")
            assert "Oars" in await _said(knowledge, library_id, "oars")

    asyncio.run(run())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process")
@pytest.mark.parametrize("name", ["hungry.pdf", "hungry.html"])
def test_a_document_that_needs_too_much_memory_costs_that_document_alone(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    hungry = _long_pdf() if name == "hungry.pdf" else b"<p>Hello there.</p>" * 400_000

    async def harm(knowledge: Knowledge, library_id: str) -> None:
        (reader,) = _readers()
        limit = reader.memory_info().vms + (_SPARE if name == "hungry.pdf" else 2**20)
        resource.prlimit(reader.pid, resource.RLIMIT_AS, (limit, limit))
        (installation.folder / name).write_bytes(hungry)
        failed = await _state(knowledge, library_id, name, "failed")
        assert "it needs more memory than " in failed.message
        assert failed.message.endswith(f"a document may take. {_AGAIN}")

    _through(installation, monkeypatch, harm)


def test_a_pdf_whose_reading_ends_the_parser_costs_that_document_alone(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def harm(knowledge: Knowledge, library_id: str) -> None:
        (reader,) = _readers()
        before = _computed(reader)
        (installation.folder / "fatal.pdf").write_bytes(_long_pdf())

        async def computed() -> float:
            return _computed(reader) - before

        await eventually(computed, lambda seconds: seconds > 0.1)  # it is at the PDF
        reader.send_signal(signal.SIGSEGV)
        failed = await _state(knowledge, library_id, "fatal.pdf", "failed")
        assert failed.message == f"The file cannot be read: it broke its parser. {_AGAIN}"
        (installation.folder / "fatal.pdf").write_bytes(pdf("Mended: gulls sleep at noon."))
        await _state(knowledge, library_id, "fatal.pdf", "indexed")
        assert "gulls" in await _said(knowledge, library_id, "gulls noon")

    _through(installation, monkeypatch, harm)


def _through(
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    harm: Callable[[Knowledge, str], Awaitable[None]],
) -> None:
    """Read a PDF, do harm to the process that read it, and read another."""
    monkeypatch.setattr(parsing, "_IDLE_SECONDS", 600.0)  # it waits to be harmed

    async def run() -> None:
        async with installation.running() as knowledge:
            (installation.folder / "before.pdf").write_bytes(pdf("Lanterns hang in the attic."))
            library_id = await _followed(knowledge, installation)
            await in_step(knowledge, library_id, 1)
            await harm(knowledge, library_id)
            (installation.folder / "after.pdf").write_bytes(pdf("Ferries leave at dawn."))
            await _state(knowledge, library_id, "after.pdf", "indexed")
            for query in ("lanterns", "ferries"):
                assert query in (await _said(knowledge, library_id, query)).lower()

    asyncio.run(run())


def _long_pdf() -> bytes:
    """A page that packs five million signs into a small file, and takes its reader seconds."""
    page = b"BT /F1 11 Tf 72 720 Td " + b"(Hello there.) Tj 0 -16 Td " * 400_000 + b"ET"
    packed_page = zlib.compress(page, 9)
    plain = pdf("here")
    start, end = plain.index(b"<< /Length"), plain.index(b"\nendstream")
    stream = b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s" % (len(packed_page), packed_page)
    return plain[:start] + stream + plain[end:]


def _readers() -> list[psutil.Process]:
    return children("ponant.live.reading.parser")


def _computed(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _followed(knowledge: Knowledge, installation: Installation) -> str:
    library = await knowledge.create_library(SCOPE, "Harm")
    config = {"path": str(installation.folder)}
    await knowledge.add_source(SCOPE, library.id, "folder", config)
    return library.id


async def _state(knowledge: Knowledge, library_id: str, path: str, state: str) -> Document:
    """A document, once it is in a state."""
    documents = await eventually(
        lambda: knowledge.list_documents(SCOPE, library_id),
        lambda found: (path, state) in [(one.path, one.state) for one in found],
    )
    return next(one for one in documents if one.path == path)


async def _said(knowledge: Knowledge, library_id: str, query: str) -> str:
    found = await knowledge.search(SCOPE, [library_id], query)
    return " ".join(hit.text for hit in found.hits)
