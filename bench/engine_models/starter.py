"""The starter as a Hugging Face folder, which is what OpenVINO's exporter reads.

The weights are the GGUF's, dequantised, so that an exported model is as good as its own form
allows.
"""

import sys
from pathlib import Path

import torch
from tests.engine.reference import reference
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast


def write_starter(gguf: Path, tokenizer: Path, folder: Path) -> None:
    """Write config, weights (float32) and tokenizer."""
    model = reference(gguf)
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_file(str(tokenizer)),
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
    )
    fast.save_pretrained(folder)


if __name__ == "__main__":
    torch.set_num_threads(2)
    write_starter(*map(Path, sys.argv[1:4]))
