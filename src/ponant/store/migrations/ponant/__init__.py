"""Migrations of ponant.db: accounts, usage, upstreams, conversations."""
