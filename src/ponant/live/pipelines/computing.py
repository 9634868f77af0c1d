"""Brings one item through the transforms of a path, with what is already known left as it is."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ponant.live.pipelines.items import (
    EVERYBODY,
    Document,
    File,
    Item,
    digest,
    dump,
    item_hash,
    load,
)
from ponant.live.pipelines.memory import Memory
from ponant.live.pipelines.plan import Path, Stage


class ItemFailed(Exception):
    """An item that could not be brought through.

    Attributes:
        step: the transform's name, or where else it failed.
    """

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason


class Computer:
    """Runs transforms: synchronous ones on a thread, so that sources go on.

    Args:
        read: turns a file into a document with its text.

    Attributes:
        computed: calls of transforms.
        kept: results that were known.
    """

    def __init__(self, memory: Memory, read: Callable[[File], Awaitable[Document]]) -> None:
        self._memory = memory
        self._read = read
        self.computed = 0
        self.kept = 0

    async def outputs(self, path: Path, item: Item) -> list[Item]:
        """What an item becomes along a path.

        Raises:
            ItemFailed: a transform raised, or returned what cannot be kept.
        """
        items = [item]
        for stage in path.stages:
            found: list[Item] = []
            for one in items:
                found += await self._step(stage, one)
            items = found
        return [_fitting(path, one) for one in items]

    async def _step(self, stage: Stage, item: Item) -> list[Item]:
        hashed = digest(item_hash(item).encode())
        known = self._memory.recall(stage.code, hashed)
        if known is not None:
            self.kept += 1
            return load(known)
        given = await self._read(item) if isinstance(item, File) else item
        name = stage.transform.name
        try:
            self.computed += 1
            made = await _call(stage.transform.function, given)
            outputs = [_checked(one) for one in made]
        except ItemFailed:
            raise
        except Exception as e:
            raise ItemFailed(name, f"{type(e).__name__}: {e}"[:1000]) from e
        outputs = [_inherit(stage, given, one) for one in outputs]
        self._memory.remember(stage.code, hashed, dump(outputs))
        return outputs


async def _call(function: Callable[..., Any], item: Item) -> list[Any]:
    """Everything that a transform makes of an item."""
    if inspect.isasyncgenfunction(function):
        return [one async for one in function(item)]
    if inspect.iscoroutinefunction(function):
        return _several(await function(item))
    return await asyncio.to_thread(lambda: _several(function(item)))


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


def _inherit(stage: Stage, given: Item, made: Item) -> Item:
    """Keep what was made of a restricted document from those who may not read that."""
    access = given.access if isinstance(given, Document) else None
    if isinstance(made, Document):
        return made.but(access=access) if made.access is None else made
    if access is not None and access != EVERYBODY and not stage.transform.declassify:
        raise ItemFailed(
            stage.transform.name,
            "it makes a row, which everybody may read, of a document that not everybody may. "
            "Say @live.transform(declassify=True) where that is meant.",
        )
    return made


def _fitting(path: Path, item: Item) -> Item:
    """An item that its sink can keep.

    Raises:
        ItemFailed: it cannot.
    """
    if path.is_library and isinstance(item, dict):
        raise ItemFailed(path.sink, "a library keeps documents: make one of the row first")
    if not path.is_library and not isinstance(item, dict):
        raise ItemFailed(path.sink, "a table keeps rows: make a dict of the document first")
    if isinstance(item, Document) and not item.key:
        raise ItemFailed(path.sink, "the document has no key")
    return item
