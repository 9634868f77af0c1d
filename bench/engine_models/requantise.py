"""The starter in each of GGUF's block formats, as llama.cpp itself writes them.

It runs in the environment of the llama.cpp that was built here and imports nothing of Ponant. Rows
that are no whole number of a K format's blocks of 256 take Q5_0, or Q8_0 in Q6_K.
"""

import ctypes
import sys
from pathlib import Path

import llama_cpp  # type: ignore[import-not-found]

_FORMS = {
    "q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0,
    "q4_k": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_S,
    "q5_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_0,
    "q5_k": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_K_S,
    "q6_k": llama_cpp.LLAMA_FTYPE_MOSTLY_Q6_K,
    "q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
}
_SHORT_ROWS = rb"attn_[qkv]\.|ffn_gate|ffn_up|token_embd"  # of 640


def write(source: Path, form: str, path: Path) -> None:
    """Write a model's weights in one form.

    Raises:
        RuntimeError: llama.cpp refuses it.
    """
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = _FORMS[form]
    options.allow_requantize = True
    options.pure = form != "q5_k"
    # Of itself llama.cpp would write short rows of Q5_K as Q5_1.
    override = llama_cpp.llama_model_tensor_override
    overrides = (override * 2)(override(_SHORT_ROWS, llama_cpp.GGML_TYPE_Q5_0), override())
    options.tt_overrides = ctypes.cast(overrides, ctypes.POINTER(override))
    partial = path.with_suffix(".partial")
    given = (str(source).encode(), str(partial).encode(), ctypes.byref(options))
    if llama_cpp.llama_model_quantize(*given):
        raise RuntimeError(f"{source.name} cannot be written as {form}")
    partial.rename(path)


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
