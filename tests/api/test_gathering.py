"""What is written in one turn of the event loop leaves as one piece, in its order."""

import asyncio
from typing import cast

import pytest

from ponant.api.gathering import Gathering

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class FakeTransport:
    """Keeps what is written to it, piece by piece."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
async def ends() -> tuple[FakeTransport, Gathering]:
    transport = FakeTransport()
    return transport, Gathering(cast("asyncio.Transport", transport))


async def test_a_head_and_a_body_leave_together(ends: tuple[FakeTransport, Gathering]) -> None:
    transport, gathering = ends
    gathering.write(b"head ")
    gathering.write(b"body")
    assert transport.sent == []
    await asyncio.sleep(0)
    assert transport.sent == [b"head body"]
    gathering.write(b"next")
    await asyncio.sleep(0)
    assert transport.sent == [b"head body", b"next"]


async def test_closing_loses_nothing(ends: tuple[FakeTransport, Gathering]) -> None:
    transport, gathering = ends
    gathering.write(b"last words")
    gathering.close()
    assert gathering.is_closing()
    assert transport.sent == [b"last words"]
    gathering.write(b"into the void")
    await asyncio.sleep(0)
    assert transport.sent == [b"last words"]


async def test_much_does_not_wait_for_the_turn_to_end(
    ends: tuple[FakeTransport, Gathering],
) -> None:
    transport, gathering = ends
    for _ in range(5):
        gathering.write(b"x" * 20_000)
    assert sum(map(len, transport.sent)) >= 80_000
    await asyncio.sleep(0)
    assert sum(map(len, transport.sent)) == 100_000
