"""What waits for a model, how much of it may, and how long that takes to work off."""

import math
import threading
from dataclasses import dataclass
from typing import Final

from ponant.engine.port import QueueFull, Request

_MEMORY_SECONDS: Final = 10.0  # of work, after which a measurement counts for a third
_FIRST_OUTPUT: Final = 128.0  # tokens of an answer, until some have ended
_LEARNING: Final = 0.1
_LEAST_WAIT, _LONGEST_WAIT = 1.0, 600.0  # seconds


@dataclass(slots=True)
class _Entry:
    """A request in flight; it waits until it has begun."""

    owner: str
    prompt: int
    most_output: int
    waits: bool = True


class Backlog:
    """Counts the requests that wait, and refuses more than there may be. Safe for many threads.

    Args:
        most_requests: that may wait; one owner gets half of the places. 0 sets no bound.
        most_tokens: of the prompts that wait, together. 0 sets no bound.
    """

    def __init__(self, most_requests: int = 0, most_tokens: int = 0) -> None:
        self._most_requests = most_requests
        self._most_tokens = most_tokens
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._tokens = self._seconds = 0.0  # of the last steps
        self._output = _FIRST_OUTPUT  # tokens of an answer, on average

    def enter(self, request: Request) -> None:
        """Note that a request came.

        Raises:
            QueueFull: it has to come again; the error says when.
        """
        entry = _Entry(request.owner, len(request.prompt), request.max_tokens)
        with self._lock:
            self._check(entry)
            self._entries[request.id] = entry

    def begin(self, request_id: str) -> None:
        """Note that a request waits no longer."""
        with self._lock:
            if request_id in self._entries:
                self._entries[request_id].waits = False

    def end(self, request_id: str, produced: int | None = None) -> None:
        """Note that a request has ended by itself, after so many tokens, or was taken back."""
        with self._lock:
            self._entries.pop(request_id, None)
            if produced is not None:
                self._output += _LEARNING * (produced - self._output)

    def measure(self, tokens: int, seconds: float) -> None:
        """Take note of how long a step took."""
        with self._lock:
            kept = math.exp(-seconds / _MEMORY_SECONDS)
            self._tokens = self._tokens * kept + tokens
            self._seconds = self._seconds * kept + seconds

    @property
    def seconds(self) -> float:
        """How long it takes to work off what is there, as far as the last steps tell."""
        with self._lock:
            return self._wait()

    def _check(self, entry: _Entry) -> None:
        waiting = [it for it in self._entries.values() if it.waits]
        own = sum(it.owner == entry.owner for it in waiting) if entry.owner else 0
        tokens = sum(it.prompt for it in waiting) + entry.prompt
        if self._most_requests and len(waiting) >= self._most_requests:
            reason = f"{len(waiting)} requests wait for this model, as many as may"
        elif self._most_requests and own >= -(-self._most_requests // 2):
            reason = f"{own} requests of this workspace wait for this model, as many as may"
        elif self._most_tokens and waiting and tokens > self._most_tokens:
            reason = f"prompts of {tokens - entry.prompt} tokens wait for this model already"
        else:
            return
        raise QueueFull(reason, self._wait())

    def _wait(self) -> float:
        """Tokens in the queue over tokens a second; those that run are half done on average."""
        ahead = 0.0
        for it in self._entries.values():
            output = min(self._output, it.most_output)
            ahead += it.prompt + output if it.waits else output / 2
        if not self._seconds or not self._tokens:
            return _LEAST_WAIT
        return min(max(ahead * self._seconds / self._tokens, _LEAST_WAIT), _LONGEST_WAIT)
