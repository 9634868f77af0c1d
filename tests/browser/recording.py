"""Turns moments of a test into the short recording of the README."""

import html
import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, ViewportSize

_WIDTH = 960
_PAGE: ViewportSize = {"width": 1280, "height": 540}
_FILE: ViewportSize = {"width": 1280, "height": 76}
_FRAME_MS = 120
_MOST_FRAMES = 200
_SETTLE_MS = 200  # colours take up to 150 ms to change

_FILE_HTML = """
<body style="margin: 0; font: 20px ui-monospace, monospace; background: #e9e2d6; color: #0e1b2a">
  <div style="display: flex; align-items: center; gap: 32px; height: 76px; padding: 0 28px">
    <b>{name}</b><span>{line}</span>
  </div>
"""
_NEW = '<mark style="background: #e07a2f; padding: 2px 6px; border-radius: 6px">{}</mark>'


class Recorder:
    """Keeps pictures of the page, over a line of the file that it answers from.

    `save` writes them as one animated WebP. Without a path nothing is done.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._frames: list[Image.Image] = []
        self._durations: list[int] = []
        self._file: Image.Image | None = None

    def prepare(self, page: Page) -> None:
        if self._path is not None:
            page.set_viewport_size(_PAGE)

    def file(self, page: Page, name: str, line: str, new: str = "") -> None:
        """Show from now on that ``line`` stands in the file; ``new`` in it was just typed."""
        if self._path is None:
            return
        shown = html.escape(line)
        if new:
            shown = shown.replace(new, _NEW.format(new))
        other = page.context.new_page()
        other.set_viewport_size(_FILE)
        other.set_content(_FILE_HTML.format(name=html.escape(name), line=shown))
        self._file = _picture(other)
        other.close()

    def show(self, page: Page, *, milliseconds: int) -> None:
        """The page once it is still, for so long."""
        if self._path is None:
            return
        page.wait_for_timeout(_SETTLE_MS)
        self._keep(page, milliseconds)

    def _keep(self, page: Page, milliseconds: int) -> None:
        picture = _picture(page)
        strip = self._file
        if strip is not None:
            whole = Image.new("RGB", (picture.width, picture.height + strip.height))
            whole.paste(picture, (0, 0))
            whole.paste(strip, (0, picture.height))
            picture = whole
        self._frames.append(picture)
        self._durations.append(milliseconds)

    def follow(self, page: Page, running: Locator) -> None:
        """The page as it changes, for as long as ``running`` is there."""
        while self._path is not None and len(self._frames) < _MOST_FRAMES and running.count() > 0:
            self._keep(page, _FRAME_MS)

    def save(self) -> None:
        if self._path is None:
            return
        first, *rest = self._frames
        first.save(
            self._path,
            save_all=True,
            append_images=rest,
            duration=self._durations,
            loop=0,
            quality=85,
            method=6,
        )


def _picture(page: Page) -> Image.Image:
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    height = round(picture.height * _WIDTH / picture.width)
    return picture.resize((_WIDTH, height), Image.Resampling.LANCZOS)
