"""Which model runs where: worker processes, their supervisor, and upstream servers."""

from ponant.serving.backend import choose
from ponant.serving.models import Models
from ponant.serving.upstreams import Upstream, Upstreams

__all__ = ["Models", "Upstream", "Upstreams", "choose"]
