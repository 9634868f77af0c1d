"""The process that calls a pipeline's transforms: one that hangs or crashes is ended with it.

It loads the pipeline's file as its parent did and is told a transform by the name of its code, so
that it never answers with another text of the file than the one its parent runs. Values travel
pickled, as rows may hold whatever Python has; both ends run the same file.
"""

import asyncio
import ctypes
import inspect
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from ponant.kit import PonantError
from ponant.kit.pipes import take_standard_output
from ponant.live.pipelines.items import Document, Item
from ponant.live.pipelines.loading import load
from ponant.live.pipelines.plan import paths

SIDE_BY_SIDE = 8  # calls at a time
LENGTH, NUMBER = 4, 8  # bytes of a frame's length and its call's number
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

Answer = tuple[list[Item], str]
"""What a transform made, and why it failed or ""."""


def frame(number: int, body: bytes) -> bytes:
    """A call's number and pickled values, with their length before them."""
    return (NUMBER + len(body)).to_bytes(LENGTH, "big") + number.to_bytes(NUMBER, "big") + body


class Worker:
    """Calls transforms: asynchronous ones on one loop, others on threads.

    Args:
        send: takes a frame; called from any thread.
    """

    def __init__(self, file: Path, send: Callable[[bytes], None]) -> None:
        self._functions = {
            stage.code: stage.transform.function
            for path in paths(load(file))
            for stage in path.stages
        }
        self._send = send
        self._sending = threading.Lock()
        self._threads = ThreadPoolExecutor(SIDE_BY_SIDE, "transform")
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def take(self, number: int, body: bytes) -> None:
        """Begin a call; its answer is sent."""
        self._threads.submit(self._answer, number, body)

    def _answer(self, number: int, body: bytes) -> None:
        try:
            code, item = pickle.loads(body)  # noqa: S301 - the parent's
            answer = pickle.dumps(([_checked(one) for one in self._call(code, item)], ""))
        except BaseException as e:  # noqa: BLE001 - one that exits would never be answered
            answer = pickle.dumps(([], f"{type(e).__name__}: {e}"[:1000]))
        with self._sending:
            self._send(frame(number, answer))

    def _call(self, code: str, item: Item) -> list[Any]:
        function = self._functions.get(code)
        if function is None:
            raise RuntimeError("the pipeline's file changed meanwhile; replay it")
        if inspect.isasyncgenfunction(function) or inspect.iscoroutinefunction(function):
            return asyncio.run_coroutine_threadsafe(_awaited(function, item), self._loop).result()
        return _several(function(item))


async def _awaited(function: Callable[..., Any], item: Item) -> list[Any]:
    if inspect.isasyncgenfunction(function):
        return [one async for one in function(item)]
    return _several(await function(item))


def _several(made: Any) -> list[Any]:
    if made is None:
        return []
    if isinstance(made, (Document, dict)):
        return [made]
    return list(made)


def _checked(made: Any) -> Item:
    if isinstance(made, (Document, dict)):
        return made
    raise TypeError(f"it made a {type(made).__name__} and not a Document or a row (a dict)")


def main() -> None:
    """Call what standard input says until it ends."""
    _end_with_parent()
    pipe = sys.stdin.buffer
    send = take_standard_output()
    file = Path(os.fsdecode(pipe.readline()[:-1]))
    try:
        worker = Worker(file, send)
    except PonantError as e:
        send(frame(0, pickle.dumps(([], e.message))))
        os._exit(1)
    send(frame(0, pickle.dumps(([], ""))))
    while (found := _read(pipe)) is not None:
        worker.take(*found)
    os._exit(0)  # calls that have not ended are nobody's any more


def _end_with_parent() -> None:
    """End when the parent does, also while a transform keeps the interpreter to itself."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _read(pipe: BinaryIO) -> tuple[int, bytes] | None:
    head = pipe.read(LENGTH + NUMBER)
    if len(head) < LENGTH + NUMBER:
        return None
    size = int.from_bytes(head[:LENGTH], "big") - NUMBER
    return int.from_bytes(head[LENGTH:], "big"), pipe.read(size)


if __name__ == "__main__":
    main()
