"""Progress of long transfers on a terminal."""

from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, TaskID, TextColumn


def byte_columns() -> tuple[ProgressColumn, ...]:
    """What a bar over bytes shows."""
    return TextColumn("{task.description}"), BarColumn(), DownloadColumn()


class ProgressBars:
    """One bar for each thing that is being done."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    @property
    def used(self) -> bool:
        """Whether there was anything to do."""
        return bool(self._bars)

    def report(self, what: str, done: int, total: int) -> None:
        """Show ``done`` of ``total`` bytes on the bar of ``what``."""
        if what not in self._bars:
            self._bars[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._bars[what], completed=done, total=total)
