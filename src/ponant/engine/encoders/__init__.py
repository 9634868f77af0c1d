"""BERT encoders: token ids in, unit vectors or relevance scores out. Needs no torch."""

from ponant.engine.encoders.embedder import BertEncoder
from ponant.engine.encoders.load import load_encoder, load_reranker
from ponant.engine.encoders.reranker import BertReranker

__all__ = ["BertEncoder", "BertReranker", "load_encoder", "load_reranker"]
