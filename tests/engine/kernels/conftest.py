"""Kernels for the tests: compiled where they are not, and set back to their best afterwards."""

from collections.abc import Iterator

import pytest

from ponant.engine.kernels import build
from ponant.engine.kernels.library import InstructionSet, library
from ponant.engine.kernels.packing import Pool


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> None:
    build.build()


@pytest.fixture(scope="session")
def best_set(_compiled: None) -> InstructionSet:
    return InstructionSet(library().pn_isa())


@pytest.fixture(autouse=True)
def _set_restored(best_set: InstructionSet) -> Iterator[None]:
    yield
    library().pn_set_isa(best_set)


@pytest.fixture(scope="session")
def pool(_compiled: None) -> Iterator[Pool]:
    shared = Pool(2)
    yield shared
    shared.close()
