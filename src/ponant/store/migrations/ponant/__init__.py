"""Migrations of ponant.db: accounts, usage, upstreams, conversations.

There is no way back: a step that drops what a newer version stored would lose it. Going back to an
older version means restoring the copy of the file that was made before.
"""
