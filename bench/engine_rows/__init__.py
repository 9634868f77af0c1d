"""A module for every row of the engine's table; each has ``measure(model) -> Figures``."""
