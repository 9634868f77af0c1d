"""Brings any other model here: from a Hugging Face hub, or from this machine's own disk."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ponant.engine.encoders import load_encoder, load_reranker
from ponant.engine.models import load_spec
from ponant.hub.choice import Choice, RepositoryFile, choose
from ponant.hub.files import Report, require_space, settle, sha256_of
from ponant.hub.inspection import Finding, inspect_config, inspect_gguf
from ponant.hub.manifest import InstalledModel, Manifest, read_manifest, write_manifest
from ponant.hub.remote import PARTS, Repository, fetch, look_up
from ponant.kit.errors import BadRequest, Conflict, NotFound
from ponant.kit.lock import exclusive

Say = Callable[[str], None]

_WEIGHTS = (".gguf", ".safetensors")
_UNKNOWN_LICENCE = "No licence is stated; ask its makers before you rely on it."
_STATED_LICENCE = "What the licence asks for stands in the files beside the weights."


def pull_model(
    home: Path,
    source: str,
    *,
    file: str | None = None,
    name: str | None = None,
    revision: str | None = None,
    report: Report = lambda *_: None,
    say: Say = lambda _: None,
) -> InstalledModel:
    """Bring a model under ``home / "models"`` so that it can be served.

    Args:
        source: ``owner/name`` on the hub, or the path of a GGUF file or a folder.
        file: which weights, where a repository has several; a part of the name is enough.
        name: the id to serve it under; ``owner/name`` or the file's name by default.
        revision: branch, tag or commit on the hub.
        report: told what is done, bytes done and bytes in all.
        say: told, in sentences, what was decided.

    Raises:
        PonantError: with what is wrong and what to do; nothing half done is ever listed.
    """
    local = Path(source).expanduser()
    models = home / "models"
    models.mkdir(parents=True, exist_ok=True)
    if local.exists():
        return _take_local(models, local.resolve(), file, name, say)
    if source.startswith((".", "/", "~")) or source.endswith(".gguf"):
        raise NotFound(f"There is nothing at {local}.")
    return _take_remote(models, look_up(source, revision), file, name or source, report, say)


def _take_remote(
    models: Path,
    repository: Repository,
    file: str | None,
    model_id: str,
    report: Report,
    say: Say,
) -> InstalledModel:
    choice = choose(repository.files, file)
    if choice.reason:
        say(choice.reason)
    folder = folder_of(model_id)
    staging = models / f".staging-{folder}"
    with _alone(models, folder):
        here = _here(models / folder, choice)
        if here is not None:
            say(f"{model_id} is here already.")
            return here
        staging.mkdir(exist_ok=True)
        require_space(models, choice.size - _arrived(staging), repository.id)
        finding = _fetch(repository, choice, staging, report)
        _keep_only(choice, staging)
        manifest = _manifest(
            model_id,
            choice,
            finding,
            origin=f"{repository.id} at {repository.commit[:12]}, from {repository.endpoint}",
            sha256=choice.weights.sha256 or sha256_of(staging / choice.weights.path),
            licence=repository.licence,
        )
        return _finish(staging, models / folder, manifest)


@contextmanager
def _alone(models: Path, folder: str) -> Iterator[None]:
    with exclusive(models / f".lock-{folder}") as alone:
        if not alone:
            raise Conflict(f"{folder.replace('--', '/')} is being pulled already.")
        yield


def _here(folder: Path, choice: Choice) -> InstalledModel | None:
    try:
        found = read_manifest(folder)
    except (OSError, ValueError):
        return None
    return found if choice.weights.sha256 and found.sha256 == choice.weights.sha256 else None


def _fetch(repository: Repository, choice: Choice, staging: Path, report: Report) -> Finding:
    """Bring the files, weights last, so that what cannot run is refused before they travel."""
    done = 0

    def arrived(size: int) -> None:
        report(f"Fetching {repository.id}", done + size, choice.size)

    finding: Finding | None = None
    for file in sorted(choice.files, key=lambda item: (item.path.endswith(_WEIGHTS), item.size)):
        if file.path.endswith(".safetensors") and finding is None:
            finding = inspect_config(staging, choice.weights.path)
        fetch(repository, file, staging, arrived)
        done += file.size
    return _inspect(choice, staging)


def _take_local(
    models: Path, source: Path, file: str | None, name: str | None, say: Say
) -> InstalledModel:
    root = source if source.is_dir() else source.parent
    choice = choose(_offered(source, root), file)
    if choice.reason:
        say(choice.reason)
    _inspect(choice, root)
    model_id = name or (source.name if source.is_dir() else source.stem)
    folder = folder_of(model_id)
    staging = models / f".staging-{folder}"
    with _alone(models, folder):
        shutil.rmtree(staging, ignore_errors=True)
        for item in choice.files:
            _link_or_copy(root / item.path, staging / item.path, models)
        finding = _inspect(choice, staging)
        digest = sha256_of(staging / choice.weights.path)
        manifest = _manifest(model_id, choice, finding, origin=str(source), sha256=digest)
        return _finish(staging, models / folder, manifest)


def _offered(source: Path, root: Path) -> list[RepositoryFile]:
    paths = source.rglob("*") if source.is_dir() else [source]
    return [
        RepositoryFile(path.relative_to(root).as_posix(), path.stat().st_size)
        for path in paths
        if path.is_file()
    ]


def _link_or_copy(source: Path, target: Path, models: Path) -> None:
    """Share the bytes where both lie on one disk; the model outlives the name it came from."""
    target.parent.mkdir(parents=True, exist_ok=True)
    real = source.resolve()
    try:
        os.link(real, target)
    except OSError:  # another disk, or a file system without links
        require_space(models, real.stat().st_size, source.name)
        shutil.copyfile(real, target)


def _inspect(choice: Choice, folder: Path) -> Finding:
    if choice.format == "gguf":
        return inspect_gguf(folder / choice.weights.path)
    finding = inspect_config(folder, choice.weights.path)
    match finding.kind:
        case "generate":
            load_spec(folder)
        case "embed":
            load_encoder(folder, threads=1)
        case "rerank":
            load_reranker(folder, threads=1)
    return finding


def _manifest(
    model_id: str, choice: Choice, finding: Finding, *, origin: str, sha256: str, licence: str = ""
) -> Manifest:
    short = model_id.rpartition("/")[2]
    return Manifest(
        id=model_id,
        aliases=() if short == model_id else (short,),
        kind=finding.kind,
        format=choice.format,
        file=choice.weights.path if choice.format == "gguf" else ".",
        architecture=finding.architecture,
        name=finding.name or short,
        origin=origin,
        licence=licence or "not stated",
        restrictions=_STATED_LICENCE if licence else _UNKNOWN_LICENCE,
        sha256=sha256,
        size=choice.size,
        backends=finding.backends,
    )


def _finish(staging: Path, folder: Path, manifest: Manifest) -> InstalledModel:
    write_manifest(staging, manifest)
    settle(staging, folder)
    return read_manifest(folder)


def _keep_only(choice: Choice, staging: Path) -> None:
    """Clear away what earlier, other choices have left."""
    shutil.rmtree(staging / PARTS, ignore_errors=True)
    chosen = {staging / file.path for file in choice.files}
    for path in staging.rglob("*"):
        if path.is_file() and path not in chosen:
            path.unlink()


def _arrived(staging: Path) -> int:
    return sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())


def folder_of(model_id: str) -> str:
    """The folder name of a model id.

    Raises:
        BadRequest: the id has characters that no folder should have.
    """
    plain = model_id.replace("/", "--")
    if (
        not plain.isascii()
        or not plain.replace("-", "").replace("_", "").replace(".", "").isalnum()
    ):
        raise BadRequest(f"{model_id} cannot be a model's name: use letters, digits, . _ - and /.")
    if plain.startswith("."):
        raise BadRequest(f"{model_id} cannot be a model's name: it begins with a dot.")
    return plain
