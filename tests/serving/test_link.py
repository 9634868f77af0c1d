"""Messages over a stream socket: whole, in their order, and what ends them."""

import asyncio
import os
import socket

import pytest

from ponant.serving.link import Link, linked
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio


async def _pair(heard: list[bytes]) -> tuple[Link, Link]:
    one, other = socket.socketpair()
    return await linked(one, lambda _: None), await linked(
        other, lambda message: heard.append(bytes(message))
    )


async def test_messages_of_any_size_come_whole_and_in_order() -> None:
    heard: list[bytes] = []
    sender, receiver = await _pair(heard)
    sent = [b"", b"a", os.urandom(3 << 20), b"b" * 70_000, b"", b"last"]
    for message in sent:
        sender.send(message)
    sender.close()
    await asyncio.wait_for(receiver.lost, PATIENCE)
    assert heard == sent


async def test_messages_that_come_in_pieces_come_whole() -> None:
    heard: list[bytes] = []
    raw, end = socket.socketpair()
    receiver = await linked(end, lambda message: heard.append(bytes(message)))
    with raw:
        for byte in b"\x03\x00\x00\x00abc\x01\x00\x00\x00d\x09\x00":
            raw.send(bytes([byte]))
            await asyncio.sleep(0)
    await asyncio.wait_for(receiver.lost, PATIENCE)
    assert heard == [b"abc", b"d"]  # what was cut off is no message


async def test_what_cannot_be_heard_ends_the_connection() -> None:
    def refuse(_: bytearray) -> None:
        raise ValueError("nonsense")

    one, other = socket.socketpair()
    sender, receiver = await linked(one, lambda _: None), await linked(other, refuse)
    sender.send(b"a")
    with pytest.raises(ValueError, match="nonsense"):
        await asyncio.wait_for(receiver.lost, PATIENCE)
    await asyncio.wait_for(sender.lost, PATIENCE)
    assert not sender.is_open
    sender.send(b"into the void")


async def test_an_end_that_goes_away_with_unread_messages_is_no_fault() -> None:
    raw, end = socket.socketpair()
    link = await linked(end, lambda _: None)
    link.send(b"never read")
    await asyncio.sleep(0)
    raw.close()
    assert await asyncio.wait_for(link.lost, PATIENCE) is None
