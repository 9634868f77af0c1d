"""Figures in a page, between two marks."""

from pathlib import Path

BEGIN, END = "<!-- figures begin -->", "<!-- figures end -->"


def replace_figures(page: Path, figures: str) -> None:
    """Put figures in Markdown in the place of those that stand there.

    Raises:
        ValueError: the page has no marks.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no marks for figures.")
    page.write_text(f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}")
