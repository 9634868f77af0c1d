"""What every room shares: settings, errors, ids and the clock. Imports nothing of ours."""

from ponant.kit.clock import Clock, SystemClock
from ponant.kit.errors import PonantError
from ponant.kit.ids import new_id
from ponant.kit.settings import Settings

__all__ = ["Clock", "PonantError", "Settings", "SystemClock", "new_id"]
