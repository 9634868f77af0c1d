"""Tells that wait together, put together: each request's events become one."""

from collections.abc import Iterable, Sequence
from itertools import chain

from ponant.engine import Event
from ponant.serving import wire


def joined(tells: Iterable[wire.Tell]) -> list[wire.Tell]:
    """The same tells with as few events as say the same; of one request they stay in order.

    What went wrong is told by an event of its own, after what came before it.
    """
    events: dict[str, list[Event]] = {}
    others: list[wire.Tell] = []
    for tell in tells:
        if isinstance(tell, wire.Happened):
            events.setdefault(tell.event.request_id, []).append(tell.event)
        else:
            others.append(tell)
    return [*(wire.Happened(one) for run in events.values() for one in _few(run)), *others]


def _few(run: Sequence[Event]) -> Sequence[Event]:
    if len(run) == 1:
        return run
    if run[-1].error is not None:
        return [*_few(run[:-1]), run[-1]]
    return [
        Event(
            request_id=run[-1].request_id,
            tokens=tuple(chain.from_iterable(event.tokens for event in run)),
            prompt_tokens=tuple(chain.from_iterable(event.prompt_tokens for event in run)),
            cached_tokens=max(event.cached_tokens for event in run),
            finish=run[-1].finish,
            usage=run[-1].usage,
        )
    ]
