"""Turns moments of a test into the short recording of the README."""

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page

_WIDTH = 960
_FRAME_MS = 120
_MOST_FRAMES = 200


class Recorder:
    """Keeps pictures of the page while it is on; `save` writes them as one animated WebP."""

    def __init__(self, *, on: bool) -> None:
        self._on = on
        self._frames: list[Image.Image] = []
        self._durations: list[int] = []

    def show(self, page: Page, *, milliseconds: int) -> None:
        """The page as it is, for so long."""
        if not self._on:
            return
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        height = round(picture.height * _WIDTH / picture.width)
        self._frames.append(picture.resize((_WIDTH, height), Image.Resampling.LANCZOS))
        self._durations.append(milliseconds)

    def follow(self, page: Page, running: Locator) -> None:
        """The page as it changes, for as long as ``running`` is there."""
        while self._on and len(self._frames) < _MOST_FRAMES and running.count() > 0:
            self.show(page, milliseconds=_FRAME_MS)

    def save(self, path: Path) -> None:
        if not self._frames:
            return
        first, *rest = self._frames
        first.save(
            path,
            save_all=True,
            append_images=rest,
            duration=self._durations,
            loop=0,
            quality=80,
            method=6,
        )
