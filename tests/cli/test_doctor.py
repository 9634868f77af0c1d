"""What the doctor says of an empty home, of a full one, and of a backend's speed."""

from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from ponant.cli import diagnosis
from ponant.cli.diagnosis import Diagnosis, time_backend, try_backends
from ponant.cli.doctor import doctor
from ponant.cli.trial import Trial
from ponant.hub.manifest import Manifest, write_manifest
from ponant.kit import Settings
from ponant.kit.errors import NotFound, SetupError
from ponant.serving import backend
from ponant.serving.backend import choose
from ponant.serving.measured import recall
from ponant.serving.wire import WorkerSpec

_app = typer.Typer()
_app.command()(doctor)


def _run(home: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(_app, arguments, env={"PONANT_HOME": str(home), "COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def test_an_empty_home_lacks_models_and_says_what_brings_them(tmp_path: Path) -> None:
    code, said = _run(tmp_path / "nowhere")
    assert code == 1
    assert "starter" in said
    assert "ponant setup" in said
    assert not (tmp_path / "nowhere").exists()


def test_json_holds_the_whole_diagnosis(tmp_path: Path) -> None:
    code, said = _run(tmp_path, "--json")
    found = msgspec.json.decode(said, type=Diagnosis)
    assert code == 1
    assert {"starter", "embed"} <= {lack.what for lack in found.missing}
    assert found.disk_free > 0
    assert found.machine.cores >= 1
    assert set(found.packages) == {"torch", "xllamacpp"}


@pytest.mark.model
def test_a_home_that_is_set_up_lacks_no_model(home: Path) -> None:
    _, said = _run(home, "--json")
    found = msgspec.json.decode(said, type=Diagnosis)
    assert found.models == ["embed", "embed-en", "starter"]
    assert {lack.what for lack in found.missing} <= {"page", "torch", "xllamacpp"}


def test_onednn_limited_to_avx2_leaves_llama_cpp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponant.serving.backend.available", lambda: False)  # no kernels of ours
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    found = msgspec.json.decode(_run(tmp_path, "--json")[1], type=Diagnosis)
    assert found.backend == "llamacpp"
    assert "AMX" not in found.machine.instructions


def test_a_backend_is_timed_in_a_process_of_its_own() -> None:
    trial = time_backend(WorkerSpec(backend="echo", context_length=1024))
    assert trial.backend == "echo"
    assert min(trial.load_seconds, trial.prefill, trial.decode, trial.seconds) > 0


def test_a_backend_that_fails_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "model.gguf"
    damaged.write_bytes(b"GGUF")
    with pytest.raises(SetupError, match="llamacpp backend failed"):
        time_backend(WorkerSpec(backend="llamacpp", path=str(damaged)))


@pytest.fixture
def with_starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home whose starter nobody loads, on a machine that has both backends."""
    model = tmp_path / "models" / "starter"
    model.mkdir(parents=True)
    (model / "model.gguf").write_bytes(b"GGUF")
    made = Manifest(id="starter", kind="generate", format="gguf", file="model.gguf")
    write_manifest(model, made)
    for module in (diagnosis, backend):
        monkeypatch.setattr(module, "installed", lambda _: True)
    return Settings(home=tmp_path)


def _times(
    monkeypatch: pytest.MonkeyPatch, speeds: dict[str, list[tuple[float, float]]]
) -> list[WorkerSpec]:
    """Let trials tell these speeds, a reading and a writing one for each round."""
    asked: list[WorkerSpec] = []

    def told(spec: WorkerSpec) -> Trial:
        asked.append(spec)
        prefill, decode = speeds[spec.backend].pop(0)
        return Trial(backend=spec.backend, load_seconds=1, prefill=prefill, decode=decode)

    monkeypatch.setattr(diagnosis, "time_backend", told)
    return asked


def test_the_fastest_in_the_median_serves_from_then_on(
    with_starter: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One lucky round does not decide, nor does reading alone: what counts is the time of both.
    asked = _times(
        monkeypatch,
        {
            "native": [(9000, 10), (9000, 10), (9000, 900)],
            "llamacpp": [(500, 40), (500, 40), (1, 1)],
        },
    )
    trials, faults = try_backends(with_starter)
    assert faults == []
    assert [trial.backend for trial in trials] == ["llamacpp", "native"]
    assert (trials[0].prefill, trials[0].decode) == (500, 40)
    assert [spec.backend for spec in asked] == ["native", "llamacpp"] * 3
    assert not any(spec.drafts for spec in asked)
    speeds = recall(with_starter.home, with_starter.threads)
    assert choose("auto", speeds).backend == "llamacpp"


def test_the_faster_one_serves_where_it_is_ours(
    with_starter: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _times(monkeypatch, {"native": [(900, 90)] * 3, "llamacpp": [(300, 50)] * 3})
    try_backends(with_starter)
    speeds = recall(with_starter.home, with_starter.threads)
    assert choose("auto", speeds).backend == "native"


def test_a_backend_that_fails_leaves_the_others_to_be_timed(
    with_starter: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _times(monkeypatch, {"native": [(300, 50)] * 3, "llamacpp": [(900, 90)]})
    told = diagnosis.time_backend

    def failing(spec: WorkerSpec) -> Trial:
        if spec.backend == "llamacpp" and len(asked) > 2:
            raise SetupError("The llamacpp backend took over 300 s.")
        return told(spec)

    monkeypatch.setattr(diagnosis, "time_backend", failing)
    trials, faults = try_backends(with_starter)
    assert [trial.backend for trial in trials] == ["native"]
    assert faults == ["The llamacpp backend took over 300 s."]
    assert [one.backend for one in recall(with_starter.home, with_starter.threads)] == ["native"]


def test_where_every_backend_fails_it_says_why(
    with_starter: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(spec: WorkerSpec) -> Trial:
        raise SetupError(f"The {spec.backend} backend failed: no.")

    monkeypatch.setattr(diagnosis, "time_backend", failing)
    with pytest.raises(SetupError, match=r"native backend failed.*llamacpp backend failed"):
        try_backends(with_starter)
    assert recall(with_starter.home, with_starter.threads) == ()


def test_without_a_starter_nothing_is_timed(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="starter"):
        try_backends(Settings(home=tmp_path))
