"""Every kind of file becomes text, and none of them can take the process down with it."""

import asyncio
import contextlib
import signal
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.live.reading import parsing
from ponant.live.reading.decoding import decode
from ponant.live.reading.media import media_type
from ponant.live.reading.parsing import MEDIA_TYPES, Parser, UnreadableDocument
from ponant.live.reading.refusal import Refusal
from tests.live.conftest import eventually
from tests.live.documents import docx, epub, letter, ods, odt, packed, pdf, picture, pptx, xlsx


def _with_parser(use: Callable[[Parser], Awaitable[None]], *, seconds: float | None = None) -> None:
    async def run() -> None:
        parser = Parser(seconds)
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


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.odt", odt("Hours", "From nine."), "# Hours\n\nFrom nine.\n"),
        ("a.ods", ods(("name", "room"), ("Ada", "12")), "| Ada | 12 |"),
        ("a.xlsx", xlsx(("name", "room"), ("Ada", "12")), "| Ada | 12 |"),
        ("a.pptx", pptx("The desk opens at nine."), "The desk opens at nine."),
        ("a.epub", epub("Hours", "From nine."), "# Hours\n\nFrom nine."),
        ("a.rtf", rb"{\rtf1\ansi The desk {\b opens} at nine. Caf\'e9.\par}", "at nine. Café."),
        ("a.csv", b"name;room\nAda;12\n", "| Ada | 12 |"),
        ("a.tsv", b"name\troom\nAda\t12\n", "| Ada | 12 |"),
        ("a.html", "<p>Привет, ключи у дежурного.</p>".encode("cp1251"), "ключи у дежурного"),
        ("a.html", b'<meta charset="iso-8859-1"><p>caf\xe9', "café"),
        ("a.eml", letter("Hours", "See it.", {"a.txt": b"Attached: 42."}), "Attached: 42."),
        ("a.zip", packed({"b/c.md": "# C\n\nInner.", "d.docx": docx("Deep.")}), "Deep."),
        ("a.json", b'{"a": ["b"]}', '{"a": ["b"]}'),
        ("a.png", picture("The desk opens at nine."), "The desk opens at nine."),
        ("a.jpg", picture("The desk opens at nine.", "JPEG"), "The desk opens at nine."),
        ("a.tiff", picture("The desk opens at nine.", "TIFF"), "The desk opens at nine."),
        ("a.pdf", picture("Scanned: it opens at ten.", "PDF"), "Scanned: it opens at ten."),
    ],
)
def test_every_kind_becomes_text(name: str, data: bytes, expected: str) -> None:
    async def use(parser: Parser) -> None:
        assert expected in await parser.text(data, media_type(name) or "")

    _with_parser(use)


def test_a_picture_without_text_recognition_is_refused_with_its_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))  # where no language lies

    async def use(parser: Parser) -> None:
        with pytest.raises(UnreadableDocument, match=r"no text recognition.*Install Tesseract"):
            await parser.text(picture("The desk opens at nine."), MEDIA_TYPES[".png"])

    _with_parser(use)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("big5", "櫃檯上午九點開門。鑰匙在一樓。"),
        ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy."),
        ("cp1251", "Ключи лежат у дежурного на первом этаже."),
        ("cp1252", "Le café ouvre à neuf heures. Les clés sont à l’accueil, près de l’entrée."),
        ("cp1253", "Το γραφείο ανοίγει στις εννέα το πρωί."),
        ("cp874", "โต๊ะเปิดเวลาเก้าโมงเช้า"),
        ("euc_jp", "受付は午前九時に開きます。鍵は一階にあります。"),
        ("euc_kr", "안내 데스크는 오전 아홉 시에 엽니다."),
        ("gb18030", "前台上午九点开门。钥匙在一楼。"),
        ("koi8_r", "Ключи лежат у дежурного на первом этаже."),
        ("shift_jis", "受付は午前九時に開きます。鍵は一階にあります。"),
        ("utf-16-le", "The desk opens at nine."),
    ],
)
def test_an_encoding_is_told_by_its_bytes(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding)) == text


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    with contextlib.suppress(Refusal):
        assert "\0" not in decode(data)


def _bomb() -> bytes:
    return packed({"a.txt": b"\0" * 300_000_000})


def _overlapping() -> bytes:
    """A ZIP file whose directory names its one member many times."""
    data = packed({"a.txt": bytes(range(256)) * 40})
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry = data[start:end]
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9, 9, 9 * len(entry), start, 0)
    return data[:start] + 9 * entry + tail


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.zip", _bomb(), "as a bomb does"),
        ("a.docx", _bomb(), "as a bomb does"),
        ("a.zip", _overlapping(), "as those of a ZIP bomb do"),
        ("a.zip", packed({f"{n}.txt": "" for n in range(10_001)}), "10,001 files"),
        ("a.zip", b"PK nothing", "it is damaged"),
    ],
)
def test_a_bomb_is_refused(name: str, data: bytes, reason: str) -> None:
    async def use(parser: Parser) -> None:
        with pytest.raises(UnreadableDocument, match=reason):
            await parser.text(data, MEDIA_TYPES[f".{name.rpartition('.')[2]}"])

    _with_parser(use)


def test_a_member_that_cannot_be_read_is_named() -> None:
    async def use(parser: Parser) -> None:
        data = packed({"good.txt": "Nine.", "bad.pdf": b"%PDF nothing", ".hidden.txt": "No."})
        text = await parser.text(data, MEDIA_TYPES[".zip"])
        assert "# good.txt\n\nNine." in text
        assert "# bad.pdf\n\nNot read: " in text
        assert "hidden" not in text

    _with_parser(use)


def test_a_parser_that_hangs_is_ended_and_the_next_file_read() -> None:
    async def use(parser: Parser) -> None:
        asking = asyncio.create_task(parser.text(b"<p>Hello.</p>" * 50_000, "text/html"))
        child = await _child(parser)
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(UnreadableDocument, match=r"longer than 0 seconds\. Save it anew"):
            await asking
        assert child.returncode is not None
        assert await parser.text(b"<p>Hello.</p>", "text/html") == "Hello.\n"

    _with_parser(use, seconds=0.2)


def test_a_parser_that_computes_too_long_is_ended() -> None:
    async def use(parser: Parser) -> None:
        with pytest.raises(UnreadableDocument, match="longer than 0 seconds"):
            await parser.text(b"<p>a</p><table><tr><td>" * 400_000, "text/html")

    _with_parser(use, seconds=0.1)


_CONFINED = """
import os, socket
from ponant.live.reading.confinement import confine
confine()
def refused(act):
    try:
        act()
    except OSError as e:
        return type(e).__name__
    return "done"
print(refused(lambda: socket.socket()))
print(refused(lambda: os.execv("/bin/true", ["true"])))
print(refused(lambda: os.write(os.open("x", os.O_CREAT | os.O_WRONLY), b"x")))
try:
    bytearray(3 * 2**30)
except MemoryError:
    print("MemoryError")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no seccomp")
def test_a_parser_has_no_network_no_programs_no_disk_and_little_memory(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CONFINED], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.split() == ["PermissionError", "PermissionError", "OSError", "MemoryError"]


def test_a_file_beyond_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "LARGEST_FILE", 2**20)

    async def use(parser: Parser) -> None:
        with pytest.raises(UnreadableDocument, match=r"has 2 MiB; the most is 1\. Split it\."):
            await parser.text(b"a" * 2**21, "text/plain")

    _with_parser(use)


def test_a_lost_process_costs_one_file() -> None:
    async def use(parser: Parser) -> None:
        page = b"<p>Hello.</p>"
        asking = asyncio.create_task(parser.text(page * 100_000, "text/html"))
        (await _child(parser)).send_signal(signal.SIGKILL)
        with pytest.raises(UnreadableDocument, match="it broke its parser"):
            await asking
        assert await parser.text(page, "text/html") == "Hello.\n"

    _with_parser(use)


async def _child(parser: Parser) -> asyncio.subprocess.Process:
    """The process that reads now."""

    async def children() -> set[object]:
        return parser._children

    (child,) = await eventually(children, bool)
    return child._process


def test_a_parser_that_raises_says_no_word_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exit status was taken for the watchdog's, which ends what takes too long."""
    monkeypatch.setattr(parsing, "frame", lambda message: struct.pack(">I", 1) + b"\xc1")

    async def use(parser: Parser) -> None:
        with pytest.raises(UnreadableDocument, match="it broke its parser"):
            await parser.text(b"<p>Hello.</p>", "text/html")

    _with_parser(use)
