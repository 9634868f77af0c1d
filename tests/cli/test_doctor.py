"""What the doctor says of an empty home, of a full one, and of a backend's speed."""

from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from ponant.cli.diagnosis import Diagnosis, time_backend
from ponant.cli.doctor import doctor
from ponant.kit.errors import SetupError
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
