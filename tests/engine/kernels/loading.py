"""Loads small decoders into the kernels for a test's time."""

from collections.abc import Iterator
from contextlib import contextmanager

from ponant.engine.kernels.decoder import KernelDecoder, WeightForm
from ponant.engine.models.spec import DecoderSpec


@contextmanager
def loaded(
    spec: DecoderSpec, form: WeightForm = "fp32", threads: int = 2, pages: int = 80
) -> Iterator[KernelDecoder]:
    decoder = KernelDecoder(spec, form=form, context_length=1024, pages=pages, threads=threads)
    try:
        yield decoder
    finally:
        decoder.close()
