"""Ponant: models, API, assistant and live knowledge on an organisation's own machines."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("ponant")
