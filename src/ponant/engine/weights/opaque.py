"""Block formats of GGUF tensors that only llama.cpp computes with; sizes follow ggml.c.

A file that holds some is whole and may be served by llama.cpp, so it can be opened; its values
cannot be read here.
"""

from collections.abc import Callable
from typing import Final

from ponant.engine.errors import ModelFileError
from ponant.engine.weights.quantised import BlockFormat, Raw, Values

_SIZES = {
    3: ("Q4_1", 32, 20),
    7: ("Q5_1", 32, 24),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
}


def _refusing(name: str) -> Callable[[Raw], Values]:
    def expand(raw: Raw) -> Values:
        del raw
        raise ModelFileError(
            f"The native engine cannot read tensors of format {name}. Set PONANT_ENGINE=llamacpp."
        )

    return expand


OPAQUE: Final[dict[int, BlockFormat]] = {
    number: BlockFormat(name, values, size, _refusing(name))
    for number, (name, values, size) in _SIZES.items()
}
"""Formats by ggml's type number, none of which `FORMATS` has."""
