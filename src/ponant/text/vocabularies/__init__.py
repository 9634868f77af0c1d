"""Builders of tokenizers, one per kind of file that a vocabulary comes in."""
