"""Attention over a paged cache whose result does not depend on what else runs in the step.

Everything is float32 and every sum has a fixed order: scores are dot products over the head, and
weighted values are summed in blocks of `BLOCK_TOKENS` counted from the sequence's start, block
after block. A block that a query may not see adds exact zeros, so it makes no difference whether
a prompt came whole or in chunks, or how many queries share a tile.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from torch import Tensor

from ponant.engine.cache import PAGE_TOKENS
from ponant.engine.decoder import Batch
from ponant.engine.torch_operators import linear

BLOCK_TOKENS: Final = 256
TILE_TOKENS: Final = 128
_PAGES_A_BLOCK: Final = BLOCK_TOKENS // PAGE_TOKENS


class KeyValueCache:
    """Keys and values of every layer, in pages; memory is touched when a page is first used.

    Args:
        layers: number of layers.
        heads: key-value heads.
        pages: page numbers, number 0 included, which belongs to nobody.
        head_size: values in a head.
        dtype: bfloat16 or float32.
        device: where it is kept.
    """

    def __init__(
        self,
        layers: int,
        heads: int,
        pages: int,
        head_size: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        shape = (2, layers, heads, pages * PAGE_TOKENS, head_size)
        self._store = _lazy_zeros(shape, dtype, device)
        self._paged = self._store.view(2, layers, heads, pages, PAGE_TOKENS * head_size)
        self.heads = heads
        self._head_size = head_size

    @property
    def nbytes(self) -> int:
        return self._store.nbytes

    def write(self, layer: int, keys: Tensor, values: Tensor, slots: Tensor) -> None:
        """Store rows of keys and values, shape (rows, heads, head size), at their slots."""
        for store, rows in zip(self._store[:, layer], (keys, values), strict=True):
            store.index_copy_(1, slots, rows.transpose(0, 1).to(store.dtype))

    def read(self, layer: int, head: int, pages: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of pages in a row, float32, shape (pages * PAGE_TOKENS, head size)."""
        keys, values = (
            self._paged[part, layer, head].index_select(0, pages).view(-1, self._head_size).float()
            for part in (0, 1)
        )
        return keys, values

    def read_page(self, page: int) -> bytes:
        """A page over all layers, keys before values."""
        return self._paged[:, :, :, page].contiguous().view(torch.uint8).cpu().numpy().tobytes()

    def write_page(self, page: int, data: bytes) -> None:
        """Put back what `read_page` gave.

        Raises:
            ValueError: the data is not of this cache's page size.
        """
        place = self._paged[:, :, :, page]
        size = place.numel() * place.element_size()
        if len(data) != size:
            raise ValueError(f"a page has {size} bytes, and {len(data)} were given")
        kept = torch.frombuffer(bytearray(data), dtype=place.dtype)
        place.copy_(kept.view(place.shape))


def _lazy_zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros that take memory only where they are written (NumPy allocates with calloc)."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    if dtype is torch.float32:
        return torch.from_numpy(np.zeros(shape, np.float32))
    return torch.from_numpy(np.zeros(shape, np.int16)).view(dtype)


@dataclass(frozen=True, slots=True)
class View:
    """What a tile sees through one kind of layer.

    Attributes:
        pages: page numbers, whole blocks.
        mask: added to scores, shape (queries, 1, keys).
    """

    pages: Tensor
    mask: Tensor


@dataclass(eq=False, slots=True)
class Tile:
    """Consecutive tokens of one sequence that attend together.

    Attributes:
        start: first row in the batch.
        stop: one past the last.
        position: of the first token in its sequence.
        pages: of the sequence, filled up with 0 to whole blocks.
    """

    start: int
    stop: int
    position: int
    pages: Tensor
    _views: dict[int | None, View] = field(default_factory=dict)

    def view(self, window: int | None) -> View:
        """What the tile sees where a token attends to the last ``window`` tokens, or to all."""
        if window not in self._views:
            self._views[window] = self._make_view(window)
        return self._views[window]

    def _make_view(self, window: int | None) -> View:
        device = self.pages.device
        end = self.position + self.stop - self.start
        oldest = 0 if window is None else max(0, self.position - window + 1)
        first, last = oldest // BLOCK_TOKENS, -(-end // BLOCK_TOKENS)
        queries = torch.arange(self.position, end, device=device)[:, None]
        keys = torch.arange(first * BLOCK_TOKENS, last * BLOCK_TOKENS, device=device)[None, :]
        hidden = keys > queries
        if window is not None:
            hidden |= keys <= queries - window
        mask = torch.zeros(hidden.shape, device=device).masked_fill_(hidden, -torch.inf)
        pages = self.pages[first * _PAGES_A_BLOCK : last * _PAGES_A_BLOCK]
        return View(pages, mask[:, None])


def tiles(batch: Batch, device: torch.device) -> Iterator[Tile]:
    """The rows of a batch in runs that attend together."""
    for index, position in enumerate(batch.positions.tolist()):
        pages = batch.pages[batch.page_starts[index] : batch.page_starts[index + 1]]
        filling = -len(pages) % _PAGES_A_BLOCK
        padded = torch.from_numpy(np.pad(pages, (0, filling)).astype(np.int64)).to(device)
        first, end = batch.starts[index : index + 2].tolist()
        for start in range(first, end, TILE_TOKENS):
            stop = min(start + TILE_TOKENS, end)
            yield Tile(start, stop, position + start - first, padded)


def attend(
    queries: Tensor, tile: Tile, window: int | None, cache: KeyValueCache, layer: int
) -> Tensor:
    """Softmax attention of a tile's queries.

    Args:
        queries: scaled, float32, shape (tokens, heads, head size); heads that share a key-value
            head stand together.
        tile: whose queries they are.
        window: tokens that each sees, its own included, or None for all before it.
        cache: holds the tile's own keys and values already.
        layer: index of the layer.

    Returns:
        Tensor of the queries' shape.
    """
    view = tile.view(window)
    groups = queries.chunk(cache.heads, dim=1)
    parts = [
        _attend_head(group, view.mask, *cache.read(layer, head, view.pages))
        for head, group in enumerate(groups)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _attend_head(queries: Tensor, mask: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention of the queries that share one head of keys and values."""
    rows = queries.reshape(-1, queries.shape[-1])
    scores = linear(rows, keys).view(*queries.shape[:2], -1)
    scores += mask
    scores -= scores.amax(-1, keepdim=True)
    weights = scores.exp_().view(len(rows), -1)
    mixed = torch.zeros_like(rows)
    total = torch.zeros(len(rows), 1, device=rows.device)
    for start in range(0, len(keys), BLOCK_TOKENS):
        block = slice(start, start + BLOCK_TOKENS)
        mixed += linear(weights[:, block], values[block].t())
        total += weights[:, block].sum(-1, keepdim=True)
    return (mixed / total).view(queries.shape)
