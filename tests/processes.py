"""Which processes a test has begun."""

import contextlib

import psutil


def children(module: str, of: int | None = None) -> list[psutil.Process]:
    """The direct children (of this process) that run a module.

    Those of a server that another test left running are grandchildren, and not among them.
    """
    found = []
    for child in psutil.Process(of).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
            if module in child.cmdline():
                found.append(child)
    return found
