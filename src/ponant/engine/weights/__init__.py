"""Readers of model files; importing this pulls in no torch."""

from ponant.engine.weights.gguf import GgufFile, TensorInfo

__all__ = ["GgufFile", "TensorInfo"]
