"""What the API adds to a request: its latency over HTTP less that of the engine called directly.

    .venv/bin/python bench/api_load.py

The model is echo, whose engine costs next to nothing. The load comes over raw sockets from this
process, so that the client's own work stays small; its processor time is told beside the figures.
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
from queue import SimpleQueue

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.server import ADMIN_KEY, Server, serving

from ponant.engine import Event, Request, Sampling
from ponant.engine.backends.echo import ANSWER, BEGIN, END, EchoEngine
from ponant.hub.manifest import Manifest, write_manifest

_RATE = 20.0  # requests a second
_OPEN = 200
_BURST = 50
_PACE = 20.0  # tokens a second of each stream
_TEXT = "The west wind!"


def main() -> None:
    direct, paced = statistics.median(_direct()), statistics.median(_direct(_PACE, 10))
    print(
        f"engine alone: p50 {1000 * direct:.2f} ms, at {_PACE:.0f} tokens/s {1000 * paced:.2f} ms"
    )
    with tempfile.TemporaryDirectory(prefix="ponant-bench-") as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        _placeholder(home)
        with serving(home) as server:
            asyncio.run(_measure(server, _at_once, direct))
        with serving(home, {"PONANT_ECHO_RATE": str(_PACE)}) as server:
            asyncio.run(_measure(server, _at_a_pace, paced))


def _placeholder(home: Path) -> None:
    """A manifest, since a server without any model does not start."""
    model = home / "models" / "none"
    model.mkdir(parents=True)
    (model / "model.gguf").write_bytes(b"GGUF")
    write_manifest(model, Manifest(id="none", kind="generate", format="gguf", file="model.gguf"))


def _direct(rate: float = 0.0, count: int = 100) -> list[float]:
    """Seconds from submit to the last event of the engine in this process."""
    engine = EchoEngine(rate=rate)
    prompt = [BEGIN, *_TEXT.encode(), ANSWER]
    times = []
    for number in range(count):
        done: SimpleQueue[Event] = SimpleQueue()
        begin = time.perf_counter()
        engine.submit(
            Request(
                id=f"r{number}",
                prompt=prompt,
                max_tokens=64,
                sampling=Sampling(temperature=0),
                stop_tokens=(END,),
            ),
            done.put,
        )
        while done.get().finish is None:
            pass
        times.append(time.perf_counter() - begin)
    engine.close()
    return times[count // 10 :]


Ask = Callable[..., Awaitable[float]]


async def _measure(
    server: Server, rows: Callable[[Ask, float], Awaitable[None]], direct: float
) -> None:
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
        finally:
            free.put_nowait(connection)

    await asyncio.gather(*(ask() for _ in range(20)))
    await rows(ask, direct)


async def _at_once(ask: Ask, direct: float) -> None:
    await _row("one after another", lambda: _in_turn(ask), direct)
    await _row("open, 20 a second", lambda: _open(ask), direct)
    await _row("burst of 50", lambda: _burst(ask), direct)
    await _row("streams, 20 a second", lambda: _open(lambda: ask(stream=True)), direct)


async def _at_a_pace(ask: Ask, direct: float) -> None:
    """Streams as a model writes them: many side by side, each token in an event of its own."""
    await _row("streams of 20 tokens/s", lambda: _open(lambda: ask(stream=True)), direct)


async def _row(name: str, run: Callable[[], Awaitable[list[float]]], direct: float) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    times = sorted(1000 * (t - direct) for t in await run())
    busy = (time.process_time() - cpu) / (time.perf_counter() - began)
    print(
        f"{name:24} p50 {statistics.median(times):7.2f} ms   p99 "
        f"{times[int(0.99 * (len(times) - 1))]:7.2f} ms   max {times[-1]:7.2f}   "
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


async def _burst(ask: Ask) -> list[float]:
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
