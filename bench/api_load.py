"""What the API adds to a request: its latency over HTTP less that of the engine called directly.

    .venv/bin/python bench/api_load.py

The model is echo, whose engine costs next to nothing. The load comes over raw sockets from this
process, so that the client's own work stays small; its processor time is told beside the figures.

Just before each row the engine is called directly, in this process, by requests that arrive in the
same pattern: a burst waits for an engine, too. What a request took is lessened by the median of
what direct ones took, in bursts of those at the same place; never by a slow moment of theirs.
"""

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.server import ADMIN_KEY, Server, serving

from ponant.engine import Event, Request, Sampling
from ponant.engine.backends.echo import ANSWER, BEGIN, END, EchoEngine
from ponant.hub.manifest import Manifest, write_manifest
from ponant.kit import new_id

_RATE = 20.0  # requests a second
_OPEN = 200
_BURST = 50
_PACE = 20.0  # tokens a second of each stream
_TEXT = "The west wind!"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ponant-bench-") as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        _placeholder(home)
        with serving(home) as server:
            asyncio.run(_measure(server, _at_once, EchoEngine()))
        with serving(home, {"PONANT_ECHO_RATE": str(_PACE)}) as server:
            asyncio.run(_measure(server, _at_a_pace, EchoEngine(rate=_PACE)))


def _placeholder(home: Path) -> None:
    """A manifest, since a server without any model does not start."""
    model = home / "models" / "none"
    model.mkdir(parents=True)
    (model / "model.gguf").write_bytes(b"GGUF")
    write_manifest(model, Manifest(id="none", kind="generate", format="gguf", file="model.gguf"))


Ask = Callable[[], Awaitable[float]]
Pattern = Callable[[Ask], Awaitable[list[float]]]


async def _directly(engine: EchoEngine) -> float:
    """Seconds from submit to the last event of the engine in this process."""
    loop = asyncio.get_running_loop()
    took: asyncio.Future[float] = loop.create_future()
    request = Request(
        id=new_id("gen"),
        prompt=[BEGIN, *_TEXT.encode(), ANSWER],
        max_tokens=64,
        sampling=Sampling(temperature=0),
        stop_tokens=(END,),
    )

    def emit(event: Event) -> None:
        if event.finish is not None:
            loop.call_soon_threadsafe(took.set_result, time.perf_counter() - begin)

    begin = time.perf_counter()
    engine.submit(request, emit)
    return await took


Rows = Callable[[Ask, Ask, Ask], Awaitable[None]]


async def _measure(server: Server, rows: Rows, engine: EchoEngine) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    pool = [await asyncio.open_connection("127.0.0.1", port) for _ in range(_BURST + 10)]
    free = asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()
    for connection in pool:
        free.put_nowait(connection)

    async def ask(*, stream: bool = False) -> float:
        connection = await free.get()
        if connection[0].at_eof():  # the server closes what was idle for some seconds
            connection = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await _ask(*connection, stream=stream)
        except asyncio.IncompleteReadError as e:
            if e.partial:
                raise
            # It closed just then; who speaks HTTP asks again.
            connection = await asyncio.open_connection("127.0.0.1", port)
            return await _ask(*connection, stream=stream)
        finally:
            free.put_nowait(connection)

    await asyncio.gather(*(ask() for _ in range(20)))
    await asyncio.gather(*(_directly(engine) for _ in range(20)))
    await rows(ask, lambda: ask(stream=True), lambda: _directly(engine))
    engine.close()


async def _at_once(ask: Ask, stream: Ask, directly: Ask) -> None:
    await _row("one after another", _in_turn, ask, directly)
    await _row("open, 20 a second", _open, ask, directly)
    await _row("burst of 50", _bursts, ask, directly, places=_BURST)
    await _row("streams, 20 a second", _open, stream, directly)


async def _at_a_pace(ask: Ask, stream: Ask, directly: Ask) -> None:
    """Streams as a model writes them: many side by side, each token in an event of its own."""
    del ask
    await _row("streams of 20 tokens/s", _open, stream, directly)


async def _row(name: str, pattern: Pattern, ask: Ask, directly: Ask, places: int = 1) -> None:
    alone = await pattern(directly)
    usual = [statistics.median(alone[place::places]) for place in range(places)]
    began, cpu = time.perf_counter(), time.process_time()
    asked = await pattern(ask)
    busy = (time.process_time() - cpu) / (time.perf_counter() - began)
    times = sorted(1000 * (t - usual[n % places]) for n, t in enumerate(asked))
    print(
        f"{name:24} p50 {statistics.median(times):7.2f} ms   p99 "
        f"{times[int(0.99 * (len(times) - 1))]:7.2f} ms   max {times[-1]:7.2f}   "
        f"directly {1000 * statistics.median(alone):7.2f}   "
        f"load generator {100 * busy:.0f} % of a core"
    )


async def _in_turn(ask: Ask) -> list[float]:
    return [await ask() for _ in range(_OPEN)]


async def _open(ask: Ask) -> list[float]:
    draw = random.Random(1)
    tasks = []
    for _ in range(_OPEN):
        tasks.append(asyncio.ensure_future(ask()))
        await asyncio.sleep(draw.expovariate(_RATE))
    return list(await asyncio.gather(*tasks))


async def _bursts(ask: Ask) -> list[float]:
    times: list[float] = []
    for _ in range(10):
        times += await asyncio.gather(*(ask() for _ in range(_BURST)))
        await asyncio.sleep(0.2)
    return times


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, stream: bool
) -> float:
    body = json.dumps(
        {
            "model": "echo",
            "messages": [{"role": "user", "content": _TEXT}],
            "temperature": 0,
            "max_tokens": 64,
            "stream": stream,
        }
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {ADMIN_KEY}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    begin = time.perf_counter()
    writer.write(head + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200"), answer
    if stream:
        await reader.readuntil(b"0\r\n\r\n")
    else:
        length = next(
            int(line.split(b":")[1])
            for line in answer.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
