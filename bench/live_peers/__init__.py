"""Ponant and its peers in live knowledge, each in a process and an environment of its own."""
