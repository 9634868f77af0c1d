"""Live knowledge: libraries that follow folders and files, and the search over them."""

from ponant.live.client import LiveClient
from ponant.live.port import PassageRef

__all__ = ["LiveClient", "PassageRef"]
