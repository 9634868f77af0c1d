"""Brings what was computed into the sinks: only what differs, and taken back where it went."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from ponant.kit.errors import BadRequest, NotFound
from ponant.live.pipelines.arriving import Arrival, keeps_nothing
from ponant.live.pipelines.computing import ItemFailed
from ponant.live.pipelines.declared import Origin
from ponant.live.pipelines.items import File, Item, digest, dump
from ponant.live.pipelines.memory import Known, Made, Memory
from ponant.live.pipelines.plan import Path
from ponant.live.pipelines.sinks import Put, Sinks


@dataclass(slots=True)
class Brought:
    """An item on its way into the sinks."""

    arrival: Arrival
    known: Known
    item: Item | None = None
    outputs: dict[str, dict[str, tuple[str, Item]]] = field(default_factory=dict)
    failure: ItemFailed | None = None
    unchanged: bool = False


class Storing:
    """Tells sinks, and then remembers that they were told.

    Args:
        paths: every path of the pipeline.
    """

    def __init__(self, memory: Memory, sinks: Sinks, paths: Sequence[Path]) -> None:
        self._memory = memory
        self._sinks = sinks
        self._paths = paths

    async def store(self, origin: Origin, own: Sequence[Path], brought: Sequence[Brought]) -> None:
        """Tell the sinks, then remember that they were told."""
        puts = self._puts(origin, own, brought)
        for put in puts.values():
            if put.upserts or put.deletes:
                put.refused.update(await self._sinks.put(put))
                await self._sinks.declare_missing()
        with self._memory.transaction():
            for one in brought:
                self._remember(origin, own, one, puts)

    def _puts(
        self, origin: Origin, own: Sequence[Path], brought: Sequence[Brought]
    ) -> dict[str, Put]:
        """What each sink is to be told: only what differs from what it was told before."""
        puts = {path.sink: Put(path.sink, path.key) for path in own}
        claimed: dict[tuple[str, str], str] = {}
        released = self._released(origin, own, brought)
        for one in brought:
            if one.failure is not None or one.unchanged:
                continue
            try:
                for path in own:
                    self._claim(origin, path, one, claimed, released)
            except ItemFailed as e:
                one.failure = e
                continue
            for path in own:
                before = self._memory.made(path.name, origin.name, one.arrival.key)
                after = one.outputs[path.name]
                put = puts[path.sink]
                for name, (hashed, item) in after.items():
                    if before.get(name) != hashed:
                        put.upserts[name] = item
                put.deletes.update(name for name in before if name not in after)
        for put in puts.values():
            put.deletes.difference_update(put.upserts)
        return puts

    def _released(
        self, origin: Origin, own: Sequence[Path], brought: Sequence[Brought]
    ) -> set[tuple[str, str]]:
        """What items of this piece no longer become, so that others may."""
        released: set[tuple[str, str]] = set()
        for one in brought:
            if one.failure is not None or one.unchanged:
                continue
            for path in own:
                before = self._memory.made(path.name, origin.name, one.arrival.key)
                released.update((path.sink, n) for n in before if n not in one.outputs[path.name])
        return released

    def _claim(
        self,
        origin: Origin,
        path: Path,
        one: Brought,
        claimed: dict[tuple[str, str], str],
        released: set[tuple[str, str]],
    ) -> None:
        """Refuse that two items become one thing, of which each would undo the other."""
        key = one.arrival.key
        for name in one.outputs[path.name]:
            place = (path.sink, name)
            owner = self._memory.owner(*place)
            mine = (path.name, origin.name, key)
            taken = owner is not None and owner != mine and place not in released
            other = claimed.get(place, owner[2] if owner and taken else None)
            if other is not None and (taken or other != key):
                raise ItemFailed(
                    path.sink,
                    f"{name} is already made from {other}. Give what is made of each its own key.",
                )
            claimed[place] = key

    def _remember(
        self, origin: Origin, own: Sequence[Path], one: Brought, puts: dict[str, Put]
    ) -> None:
        key = one.arrival.key
        body = _body(one.item) if one.item is not None and keeps_nothing(origin) else None
        refused = {
            reason
            for path in own
            for name in one.outputs.get(path.name, {})
            if (reason := puts[path.sink].refused.get(name)) is not None
        }
        if one.failure is None and refused:
            one.failure = ItemFailed("sink", "; ".join(sorted(refused)))
        self._memory.put_input(origin.name, key, one.known, body)
        for path in own:
            code = path.code if one.failure is None else failed_code(own)
            if not one.unchanged:
                self._memory.set_done(path.name, origin.name, key, one.known.hash, code)
        if one.failure is not None:
            self._memory.put_failure(origin.name, key, one.failure.step, one.failure.reason)
            return
        if not one.unchanged:
            self._memory.clear_failure(origin.name, key)
        for path in own:
            if one.unchanged:
                continue
            after = one.outputs[path.name]
            before = self._memory.made(path.name, origin.name, key)
            gone = [n for n in before if n not in after and n not in puts[path.sink].upserts]
            self._memory.drop_outputs(path.sink, gone)
            for name, (hashed, _) in after.items():
                self._memory.put_output(path.sink, Made(name, hashed, origin.name, key, path.name))

    async def take_back(self, origin: Origin, own: Sequence[Path], keys: Sequence[str]) -> None:
        """What was made of items that went goes too."""
        if not keys:
            return
        puts = {path.sink: Put(path.sink, path.key) for path in own}
        for key in keys:
            for path in own:
                puts[path.sink].deletes.update(self._memory.made(path.name, origin.name, key))
        for put in puts.values():
            if put.deletes:
                await self._sinks.put(put)
        with self._memory.transaction():
            for put in puts.values():
                self._memory.drop_outputs(put.sink, put.deletes)
            for key in keys:
                self._memory.drop_input(origin.name, key)

    async def take_back_strays(self) -> None:
        """What paths made that are no longer declared goes."""
        declared = {path.sink: path.key for path in self._paths}
        puts: dict[str, Put] = {}
        for sink, name in self._memory.strays([path.name for path in self._paths]):
            puts.setdefault(sink, Put(sink, declared.get(sink, ()))).deletes.add(name)
        for put in puts.values():
            with contextlib.suppress(BadRequest, NotFound):  # it is gone, with all that is in it
                await self._sinks.put(put)
            self._memory.drop_outputs(put.sink, put.deletes)


def _body(item: Item) -> bytes:
    if isinstance(item, File):
        return b"f" + msgspec.msgpack.encode(item)
    return b"i" + dump([item])


def failed_code(own: Sequence[Path]) -> str:
    """Stands for a failure under the present code of every path, none of which was taken then."""
    return digest(b"failed", *(f"{path.name} {path.code}".encode() for path in own))
