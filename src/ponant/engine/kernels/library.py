"""Loads the compiled kernels and names their C interface (`cpu/ponant.h`) for ctypes.

Calls release the interpreter's lock. Whoever calls keeps the arrays alive whose addresses it hands
over.
"""

import ctypes
from ctypes import (
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int32,
    c_size_t,
    c_void_p,
)
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

from ponant.kit.errors import SetupError

LIBRARY: Final = Path(__file__).with_name("_cpu.so")
"""Where `build.py` puts what it compiles; it runs alone, so that neither imports the other."""


class Form(IntEnum):
    """How a packed weight stands in memory."""

    F32 = 0
    F16 = 1
    BF16 = 2
    I8 = 3
    I6S16 = 4
    I5M = 5
    I4 = 6
    I4M = 7
    I5 = 8
    I8P = 9


class InstructionSet(IntEnum):
    """What the kernels may use."""

    PORTABLE = 0
    AVX2 = 1
    AVX512 = 2
    AVX512BF16 = 3
    AMX = 4


class CMatrix(Structure):
    """``pn_matrix``."""

    _fields_ = (
        ("form", c_int32),
        ("outputs", c_int32),
        ("inputs", c_int32),
        ("reserved", c_int32),
        ("data", c_void_p),
        ("bias", c_void_p),
    )


class CRope(Structure):
    """``pn_rope``."""

    _fields_ = (
        ("frequencies", c_void_p),
        ("pairs", c_int32),
        ("interleaved", c_int32),
        ("factor", c_float),
        ("reserved", c_int32),
    )


class CFeedForward(Structure):
    """``pn_feed_forward``."""

    _fields_ = (("gate", CMatrix), ("up", CMatrix), ("down", CMatrix))


class CLayer(Structure):
    """``pn_layer``."""

    _fields_ = (
        ("attention_norm", c_void_p),
        ("attention_post_norm", c_void_p),
        ("feed_forward_norm", c_void_p),
        ("feed_forward_post_norm", c_void_p),
        ("query_norm", c_void_p),
        ("key_norm", c_void_p),
        ("query", CMatrix),
        ("key", CMatrix),
        ("value", CMatrix),
        ("output", CMatrix),
        ("query_scale", c_float),
        ("window", c_int32),
        ("rope", c_int32),
        ("temperature_beta", c_float),
        ("temperature_length", c_int32),
        ("activation", c_int32),
        ("xielu", c_float * 4),
        ("experts", c_int32),
        ("experts_chosen", c_int32),
        ("router", CMatrix),
        ("parts", POINTER(CFeedForward)),
    )


class CModel(Structure):
    """``pn_model``."""

    _fields_ = (
        ("width", c_int32),
        ("heads", c_int32),
        ("key_value_heads", c_int32),
        ("head_size", c_int32),
        ("vocabulary", c_int32),
        ("layer_count", c_int32),
        ("rope_count", c_int32),
        ("epsilon", c_float),
        ("embedding_scale", c_float),
        ("reserved", c_int32),
        ("embedding", CMatrix),
        ("head", CMatrix),
        ("norm", c_void_p),
        ("layers", POINTER(CLayer)),
        ("ropes", POINTER(CRope)),
    )


class CCache(Structure):
    """``pn_cache``."""

    _fields_ = (("form", c_int32), ("pages", c_int32), ("data", c_void_p))


class CBatch(Structure):
    """``pn_batch``."""

    _fields_ = (
        ("rows", c_int32),
        ("sequences", c_int32),
        ("wanted_count", c_int32),
        ("reserved", c_int32),
        ("tokens", c_void_p),
        ("starts", c_void_p),
        ("positions", c_void_p),
        ("page_starts", c_void_p),
        ("pages", c_void_p),
        ("wanted", c_void_p),
    )


class CLayerNorm(Structure):
    """``pn_layer_norm``."""

    _fields_ = (("weight", c_void_p), ("bias", c_void_p))


class CEncoderLayer(Structure):
    """``pn_encoder_layer``."""

    _fields_ = (
        ("query", CMatrix),
        ("key", CMatrix),
        ("value", CMatrix),
        ("output", CMatrix),
        ("up", CMatrix),
        ("down", CMatrix),
        ("attention_norm", CLayerNorm),
        ("output_norm", CLayerNorm),
    )


class CEncoder(Structure):
    """``pn_encoder``."""

    _fields_ = (
        ("width", c_int32),
        ("heads", c_int32),
        ("layer_count", c_int32),
        ("type_count", c_int32),
        ("epsilon", c_float),
        ("words_type", c_int32),
        ("words", c_void_p),
        ("positions", c_void_p),
        ("types", c_void_p),
        ("embedding_norm", CLayerNorm),
        ("layers", POINTER(CEncoderLayer)),
    )


class CEncoderBatch(Structure):
    """``pn_encoder_batch``."""

    _fields_ = (
        ("sequences", c_int32),
        ("pooling", c_int32),
        ("tokens", c_void_p),
        ("starts", c_void_p),
        ("seconds", c_void_p),
    )


class CDraw(Structure):
    """``pn_draw``."""

    _fields_ = (
        ("mask", c_void_p),
        ("biased", c_void_p),
        ("bias", c_void_p),
        ("seen", c_void_p),
        ("counts", c_void_p),
        ("forbidden", c_void_p),
        ("uniform", c_double),
        ("mask_words", c_int32),
        ("biased_count", c_int32),
        ("seen_count", c_int32),
        ("forbidden_count", c_int32),
        ("repetition", c_float),
        ("presence", c_float),
        ("frequency", c_float),
        ("temperature", c_float),
        ("top_p", c_float),
        ("min_p", c_float),
        ("top_k", c_int32),
        ("given", c_int32),
        ("alternatives", c_int32),
        ("token", c_int32),
        ("logprob", c_float),
        ("reserved", c_int32),
        ("top_tokens", c_void_p),
        ("top_logprobs", c_void_p),
    )


class CUnigramPieces(Structure):
    """``pn_unigram_pieces``."""

    _fields_ = (
        ("text", c_void_p),
        ("offsets", c_void_p),
        ("scores", c_void_p),
        ("hidden", c_void_p),
        ("count", c_int32),
        ("unknown", c_int32),
    )


_POOL: Final = c_void_p
_WORKSPACE: Final = c_void_p
_FUNCTIONS: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "pn_isa": (c_int, ()),
    "pn_set_isa": (None, (c_int,)),
    "pn_pool_create": (_POOL, (c_int,)),
    "pn_pool_destroy": (None, (_POOL,)),
    "pn_packed_size": (c_size_t, (c_int, c_int, c_int)),
    "pn_pack": (c_int, (_POOL, c_int, c_void_p, c_int, c_int, c_int, c_void_p)),
    "pn_quantise": (c_int, (_POOL, c_void_p, c_int, c_int, c_int, c_void_p)),
    "pn_rows": (None, (POINTER(CMatrix), c_void_p, c_int, c_void_p)),
    "pn_linear": (None, (_POOL, POINTER(CMatrix), c_void_p, c_int, c_void_p)),
    "pn_page_size": (c_size_t, (POINTER(CModel), c_int)),
    "pn_workspace_create": (_WORKSPACE, ()),
    "pn_workspace_destroy": (None, (_WORKSPACE,)),
    "pn_forward": (
        c_int,
        (_POOL, _WORKSPACE, POINTER(CModel), POINTER(CCache), POINTER(CBatch), c_void_p),
    ),
    "pn_sample": (c_int, (_POOL, c_void_p, c_int, POINTER(CDraw), c_int)),
    "pn_logits": (c_int, (_POOL, _WORKSPACE, POINTER(CModel), c_void_p, c_int, c_void_p)),
    "pn_best": (c_int, (_POOL, _WORKSPACE, POINTER(CModel), c_void_p, c_int, c_void_p)),
    "pn_unigram_create": (c_void_p, (POINTER(CUnigramPieces),)),
    "pn_unigram_destroy": (None, (c_void_p,)),
    "pn_unigram_encode": (c_int, (c_void_p, c_char_p, c_int, c_void_p)),
    "pn_encoder_workspace_create": (_WORKSPACE, ()),
    "pn_encoder_workspace_destroy": (None, (_WORKSPACE,)),
    "pn_encode": (
        c_int,
        (_POOL, _WORKSPACE, POINTER(CEncoder), POINTER(CEncoderBatch), c_void_p),
    ),
}
"""Result and arguments of every function of ``ponant.h``."""


def available() -> bool:
    """Whether the kernels were compiled when the package was built."""
    return LIBRARY.is_file()


@cache
def library() -> ctypes.CDLL:
    """The kernels, loaded once.

    Raises:
        SetupError: they were not compiled, or from other sources than these, or do not fit this
            system.
    """
    try:
        loaded = ctypes.CDLL(str(LIBRARY))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(loaded, name)
            function.restype = result
            function.argtypes = list(arguments)
    except (OSError, AttributeError) as e:
        raise SetupError(
            f"The engine's kernels cannot be used: {e}. Compile them again: "
            "python -m ponant.engine.kernels.build"
        ) from e
    return loaded
