"""The models that the engines are measured on, written once under ``.bench/models``."""
