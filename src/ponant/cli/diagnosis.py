"""What `ponant doctor` finds out: the machine, what is installed, what is missing."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import msgspec

from ponant.cli.packages import LLAMACPP, TORCH, installed_version, wanted_packages
from ponant.cli.trial import Trial, middle_trial
from ponant.hub import Catalogue, InstalledModel
from ponant.kit import Settings
from ponant.kit.errors import NotFound, SetupError
from ponant.kit.machine import Machine, this_machine
from ponant.serving.backend import BACKENDS, Backend, choose, installed
from ponant.serving.measured import Speed, recall, remember
from ponant.serving.wire import WorkerSpec

_TRIAL_SECONDS = 300
_TRIAL_CONTEXT = 1024
_TRIAL_ROUNDS = 3  # in turns, since other work on the machine comes and goes
_SETUP = "ponant setup"


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is missing, what it is for, and the command that mends it."""

    what: str
    why: str
    mend: str
    needed: bool = True


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the doctor says; sizes in bytes.

    Attributes:
        backend: the one that would run a GGUF model, or None where none can.
        reason: why that one, or why none.
        packages: version by project, or None where it is not installed.
    """

    machine: Machine
    home: str
    disk_free: int
    python: str
    packages: dict[str, str | None]
    backend: str | None
    reason: str
    models: list[str]
    page: bool
    missing: list[Lack]
    trials: list[Trial] = []
    faults: list[str] = []

    @property
    def healthy(self) -> bool:
        """Whether nothing that is needed is missing."""
        return not any(lack.needed for lack in self.missing)


def diagnose(settings: Settings) -> Diagnosis:
    """Look at this machine and this installation; changes nothing."""
    models = Catalogue(settings.home).models()
    backend, reason = _backend(settings)
    page = (files("ponant.api") / "page" / "index.html").is_file()
    return Diagnosis(
        machine=this_machine(),
        home=str(settings.home),
        disk_free=shutil.disk_usage(_nearest_folder(settings.home)).free,
        python=platform.python_version(),
        packages={package.project: installed_version(package.project) for package in _PACKAGES},
        backend=backend,
        reason=reason,
        models=[model.id for model in models],
        page=page,
        missing=list(_lacks(settings, backend, models, page=page)),
    )


_PACKAGES = (TORCH, LLAMACPP)


def _backend(settings: Settings) -> tuple[str | None, str]:
    try:
        return choose(settings.engine, recall(settings.home, settings.threads))
    except SetupError as e:
        return None, e.message


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())


def _lacks(
    settings: Settings, backend: str | None, models: list[InstalledModel], *, page: bool
) -> Iterator[Lack]:
    for package in wanted_packages(settings):
        if installed_version(package.project) is None:
            alone = backend is None
            yield Lack(what=package.project, why=package.purpose, mend=_SETUP, needed=alone)
    ids = {model.id for model in models}
    if "starter" not in ids:
        yield Lack(what="starter", why="the model that answers out of the box", mend=_SETUP)
    if "embed" not in ids:
        yield Lack(what="embed", why="the model that finds passages by meaning", mend=_SETUP)
    if not page:
        yield Lack(what="page", why="what people open in a browser", mend=_mend_page())


def _mend_page() -> str:
    if shutil.which("npm"):
        return "make page"
    return "install Node 20 or newer, then: make page (or install a released wheel of ponant)"


def try_backends(settings: Settings) -> tuple[list[Trial], list[str]]:
    """Time the starter on each backend that is installed, in turns, the fastest first.

    The result is kept beside the models: from then on the fastest serves by default. A backend
    that fails once is out of it.

    Returns:
        The trials, and why backends are out.

    Raises:
        NotFound: the starter is not installed.
        SetupError: every backend fails on it.
    """
    model = Catalogue(settings.home).get("starter")
    usable = [backend for backend in BACKENDS if installed(backend)]
    if not usable:
        raise NotFound("No backend is installed. Run `ponant setup` first.")
    specs = {
        backend: WorkerSpec(
            backend=backend,
            path=str(model.path),
            cache=str(settings.home / "cache"),
            context_length=_TRIAL_CONTEXT,
            threads=settings.threads,
            memory=settings.memory,
            # An answer to a random prompt soon repeats itself, and is then guessed twenty times as
            # fast as any real one is written.
            drafts=False,
        )
        for backend in usable
    }
    runs: dict[Backend, list[Trial]] = {backend: [] for backend in usable}
    faults: list[str] = []
    for _ in range(_TRIAL_ROUNDS):
        for backend in list(runs):
            try:
                runs[backend].append(time_backend(specs[backend]))
            except SetupError as e:
                del runs[backend]
                faults.append(e.message)
    if not runs:
        raise SetupError(" ".join(faults))
    trials = [middle_trial(some) for some in runs.values()]
    speeds = [
        Speed(
            backend=trial.backend,
            prefill=trial.prefill,
            decode=trial.decode,
            seconds=trial.seconds,
        )
        for trial in trials
    ]
    remember(settings.home, tuple(speeds), settings.threads)
    return sorted(trials, key=lambda trial: trial.seconds), faults


def time_backend(spec: WorkerSpec) -> Trial:
    command = [sys.executable, "-m", "ponant.cli.trial", msgspec.json.encode(spec).decode()]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TRIAL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as e:
        raise SetupError(f"The {spec.backend} backend took over {_TRIAL_SECONDS} s.") from e
    if done.returncode != 0:
        last = (done.stderr.strip() or "it gave no reason").splitlines()[-1]
        raise SetupError(f"The {spec.backend} backend failed: {last}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Trial)
