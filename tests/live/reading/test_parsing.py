"""Every kind of file becomes text, and none of them can take the process down with it."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from ponant.live.reading.parsing import MEDIA_TYPES, Parser, UnreadableDocument
from tests.live.documents import docx, pdf


def _with_parser(use: Callable[[Parser], Awaitable[None]]) -> None:
    async def run() -> None:
        parser = Parser()
        try:
            await use(parser)
        finally:
            await parser.close()

    asyncio.run(run())


def test_structure_survives() -> None:
    async def use(parser: Parser) -> None:
        page = (
            b"<html><head><title>T</title></head><body><h1>Hours</h1><p>From nine.</p>"
            b"<ul><li>Keys</li></ul></body></html>"
        )
        assert await parser.text(page, MEDIA_TYPES[".html"]) == "# Hours\n\nFrom nine.\n\n- Keys\n"
        letter = await parser.text(docx("From nine.", heading="Hours"), MEDIA_TYPES[".docx"])
        assert letter.strip().splitlines() == ["## Hours", "", "From nine."]
        assert "Refunds take 14 days." in await parser.text(
            pdf("Refunds", "Refunds take 14 days."), MEDIA_TYPES[".pdf"]
        )

    _with_parser(use)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"caf\xc3\xa9\r\nbar", "café\nbar"),
        (b"\xef\xbb\xbfcaf\xc3\xa9", "café"),
        (b"caf\xe9", "café"),
        ("café".encode("utf-16"), "café"),
    ],
)
def test_text_in_any_usual_encoding(data: bytes, text: str) -> None:
    async def use(parser: Parser) -> None:
        assert await parser.text(data, "text/plain") == text

    _with_parser(use)


@pytest.mark.parametrize("media_type", ["application/pdf", MEDIA_TYPES[".docx"], "text/plain"])
def test_a_damaged_file_is_refused_with_a_sentence(media_type: str) -> None:
    async def use(parser: Parser) -> None:
        with pytest.raises(UnreadableDocument, match=r"^The file cannot be read: .*\.$"):
            await parser.text(b"%PDF-1.4\0 nonsense" * 9, media_type)

    _with_parser(use)


def test_a_lost_process_costs_one_file() -> None:
    async def use(parser: Parser) -> None:
        page = b"<p>Hello.</p>"
        await parser.text(page, "text/html")
        asking = asyncio.create_task(parser.text(page * 100_000, "text/html"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        parser._process.send_signal(signal.SIGKILL)
        with pytest.raises(UnreadableDocument):
            await asking
        assert await parser.text(page, "text/html") == "Hello.\n"

    _with_parser(use)
