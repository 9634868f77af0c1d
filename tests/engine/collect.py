"""Gathers a request's events."""

import threading

from ponant.engine import Engine, Event, Request, Token


class Collector:
    """Takes a request's events and waits for the last."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._ended = threading.Event()

    def take(self, event: Event) -> None:
        self.events.append(event)
        if event.finish is not None:
            self._ended.set()

    def wait(self) -> "Collector":
        assert self._ended.wait(100), "the request did not end"
        return self

    @property
    def tokens(self) -> list[Token]:
        return [token for event in self.events for token in event.tokens]

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.tokens]

    @property
    def last(self) -> Event:
        return self.events[-1]


def run_all(engine: Engine, requests: list[Request]) -> list[Collector]:
    """Run requests together and wait for all."""
    collectors = [Collector() for _ in requests]
    for request, collector in zip(requests, collectors, strict=True):
        engine.submit(request, collector.take)
    return [collector.wait() for collector in collectors]
