"""Times one product by each weight form: ``python -m bench.linear [inputs outputs]``.

Seconds are processor time of one thread, the least of several runs, so that other processes on the
machine disturb little. One row tells how fast weights stream from memory (GB/s of packed bytes),
512 rows how fast they multiply (billions of multiply-adds a second). "plain" is the portable set
of the same kernels, loops without intrinsics; torch multiplies dense weights.
"""

import sys
import time
from collections.abc import Callable
from typing import Final

import numpy as np
import torch

from ponant.engine.kernels.library import Form, InstructionSet, library
from ponant.engine.kernels.packing import PackedMatrix, Pool

_MANY: Final = 512
_SECONDS: Final = 1.0


def _least_seconds(work: Callable[[], object], most: int = 9) -> float:
    least, spent = float("inf"), 0.0
    for _ in range(most):
        start = time.process_time()
        work()
        taken = time.process_time() - start
        least, spent = min(least, taken), spent + taken
        if spent > _SECONDS:
            break
    return least


def _time_form(form: Form, inputs: int, outputs: int, pool: Pool) -> tuple[float, float, float]:
    matrix = PackedMatrix(form, outputs, inputs)
    matrix.data[:] = 0x11
    rows = np.random.default_rng(0).normal(0, 1, (_MANY, inputs)).astype(np.float32)
    best = library().pn_isa()
    one = _least_seconds(lambda: matrix.multiply(pool, rows[:1]))
    many = _least_seconds(lambda: matrix.multiply(pool, rows))
    library().pn_set_isa(InstructionSet.PORTABLE)
    plain = _least_seconds(lambda: matrix.multiply(pool, rows[:16]), 1)
    library().pn_set_isa(best)
    values = inputs * outputs / 1e9
    return matrix.bytes / one / 1e9, _MANY * values / many, 16 * values / plain


def _time_torch(kind: torch.dtype, inputs: int, outputs: int) -> tuple[float, float]:
    weight = torch.ones(outputs, inputs, dtype=kind)
    rows = torch.ones(_MANY, inputs, dtype=kind)
    with torch.inference_mode():
        one = _least_seconds(lambda: torch.nn.functional.linear(rows[:1], weight))
        many = _least_seconds(lambda: torch.nn.functional.linear(rows, weight))
    bytes_ = weight.nbytes / 1e9
    return bytes_ / one, _MANY * inputs * outputs / many / 1e9


def main() -> None:
    """Print a line for each form and for torch."""
    inputs, outputs = (int(each) for each in sys.argv[1:3] or ("2048", "8192"))
    torch.set_num_threads(1)
    pool = Pool(1)
    sys.stdout.write(f"{inputs} -> {outputs}, one thread, set {library().pn_isa()}\n")
    sys.stdout.write("form         1 row GB/s   512 rows GMAC/s   plain GMAC/s\n")
    for form in Form:
        one, many, plain = _time_form(form, inputs, outputs, pool)
        sys.stdout.write(f"{form.name:12} {one:10.1f} {many:17.0f} {plain:14.1f}\n")
    for kind in (torch.float32, torch.bfloat16):
        one, many = _time_torch(kind, inputs, outputs)
        sys.stdout.write(f"{kind!s:12.12} {one:10.1f} {many:17.0f}\n")
    pool.close()


if __name__ == "__main__":
    main()
