"""Passages to an index, version by version, and the search over it."""
