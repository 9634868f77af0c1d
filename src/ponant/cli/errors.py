"""How a command ends when it cannot do what it was asked: a sentence and a non-zero status."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ponant.kit import PonantError

_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h


@contextmanager
def sentences(show_traceback: Callable[[], bool] | None = None) -> Iterator[None]:
    """Turn what goes wrong inside into a sentence on standard error and an exit status."""
    try:
        yield
    except PonantError as e:
        _say(e.message)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has enough; a second failure at exit would say so again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as e:
        _say(f"{e.strerror or e}: {e.filename}" if e.filename else f"{e.strerror or e}")
        sys.exit(1)
    except Exception as e:  # noqa: BLE001 - the last resort of the process
        if show_traceback is not None and show_traceback():
            traceback.print_exc()
        _say(
            f"Ponant failed in a way nobody foresaw ({type(e).__name__}: {e}). Set "
            "PONANT_LOG_LEVEL=debug, try again, and report what it prints."
        )
        sys.exit(_UNEXPECTED)


def _say(sentence: str) -> None:
    sys.stderr.write(f"ponant: {sentence}\n")
