"""The engine's own kernels: C++ behind a plain C interface, chosen by processor at run time."""

from ponant.engine.kernels.library import available

__all__ = ["available"]
