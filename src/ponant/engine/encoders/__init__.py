"""Sentence embedders in NumPy: token ids in, unit vectors out. Needs neither torch nor a GPU."""

from ponant.engine.encoders.bert import BertEncoder
from ponant.engine.encoders.load import load_encoder

__all__ = ["BertEncoder", "load_encoder"]
