"""Brings one item through the transforms of a path, with what is already known left as it is."""

from collections.abc import Awaitable, Callable

from ponant.live.pipelines.calling import CallFailed, Transforms
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
    """Brings items through transforms.

    Args:
        read: turns a file into a document with its text.
        transforms: where they are called.

    Attributes:
        computed: calls of transforms.
        kept: results that were known.
    """

    def __init__(
        self,
        memory: Memory,
        read: Callable[[File], Awaitable[Document]],
        transforms: Transforms,
    ) -> None:
        self._memory = memory
        self._read = read
        self._transforms = transforms
        self.computed = 0
        self.kept = 0

    async def outputs(self, path: Path, item: Item) -> list[Item]:
        """What an item becomes along a path.

        Raises:
            ItemFailed: a transform raised, took too long, or returned what cannot be kept.
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
        try:
            self.computed += 1
            made = await self._transforms.call(stage, given)
        except CallFailed as e:
            raise ItemFailed(stage.transform.name, str(e)) from e
        outputs = [_inherit(stage, given, one) for one in made]
        self._memory.remember(stage.code, hashed, dump(outputs))
        return outputs


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
