"""Pipelines: sources, transforms, tables and standing queries declared in a Python file."""
