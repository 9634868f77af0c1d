"""Ponant: models, API, assistant and live knowledge on an organisation's own machines."""

from typing import Any

__all__ = ["__version__"]

__version__: str


def __getattr__(name: str) -> Any:
    # What is installed is looked up where it is asked for: not all of our processes do.
    if name != "__version__":
        raise AttributeError(f"ponant has no {name}")
    from importlib.metadata import version  # noqa: PLC0415

    return version("ponant")
