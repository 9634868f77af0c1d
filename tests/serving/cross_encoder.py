"""A small cross-encoder with random weights and MiniLM's vocabulary, as a model on disk."""

import shutil
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification

from ponant.hub.manifest import Manifest, write_manifest

MAX_TOKENS = 64


def write_cross_encoder(models: Path, vocabulary: Path, name: str = "judge") -> Path:
    """Write it under ``models``; ``vocabulary`` is a folder with MiniLM's tokenizer files."""
    folder = models / name
    folder.mkdir(parents=True)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=30_522,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=MAX_TOKENS,
        initializer_range=0.2,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        if (vocabulary / file).exists():
            shutil.copy(vocabulary / file, folder)
    write_manifest(folder, Manifest(id=name, kind="rerank", format="safetensors", file="."))
    return folder
