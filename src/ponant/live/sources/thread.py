"""A thread for a library that blocks: its calls run one after the other, beside the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OneThread:
    """Runs the calls of one connection; none may block for much longer than a second."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call when those before it are done."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: function(*args, **kwargs))

    def end(self, last: Callable[[], object]) -> None:
        """Have one last call made, without waiting for it."""
        self._executor.submit(last)
        self._executor.shutdown(wait=False)
