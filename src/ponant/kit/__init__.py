"""What every room shares: settings, errors, ids and the clock. Imports nothing of ours."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ponant.kit.clock import Clock, SystemClock
from ponant.kit.errors import PonantError
from ponant.kit.ids import new_id

if TYPE_CHECKING:
    from ponant.kit.settings import Settings

__all__ = ["Clock", "PonantError", "Settings", "SystemClock", "new_id"]


def __getattr__(name: str) -> Any:
    # What reads the environment takes a tenth of a second that processes without settings save.
    if name != "Settings":
        raise AttributeError(f"ponant.kit has no {name}")
    return import_module("ponant.kit.settings").Settings
