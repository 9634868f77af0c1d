"""When a worker that ended is started again, and what is said of it meanwhile."""

import signal

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
_LONG_LIFE = 60.0  # a worker that lived so long is started again without a longer pause
_MOST_WHILE_LOADING = 3


class Restarts:
    """Slows a crash loop down: each end after a short life doubles the pause before the next."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._while_loading = 0

    @property
    def hopeless(self) -> bool:
        """Whether it ended so often before it was ready that trying again makes no sense."""
        return self._while_loading >= _MOST_WHILE_LOADING

    def ended(self, lived: float, *, was_ready: bool) -> float:
        """Note an end after ``lived`` seconds; returns the seconds to wait before a start."""
        self._while_loading = 0 if was_ready else self._while_loading + 1
        self._in_a_row = 1 if lived > _LONG_LIFE else self._in_a_row + 1
        return min(_FIRST_PAUSE * 2.0 ** (self._in_a_row - 1), _LONGEST_PAUSE)

    def told(self, code: int | None) -> str:
        """What happened, in a sentence, for who looks at the model's card."""
        if self.hopeless:
            return f"Its process ended {self._while_loading} times while loading, {how(code)}."
        return f"Its process ended {self._in_a_row} times in a row, the last time {how(code)}."


def how(code: int | None) -> str:
    """How a process ended, by the status that Python gives: negative ones are signals."""
    if code is None or code >= 0:
        return f"with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    hint = ", as a machine does that runs out of memory" if -code == signal.SIGKILL else ""
    return f"killed by {name}{hint}"
