"""``ponant setup`` and ``ponant pull`` as people run them."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ponant.cli.pull import pull
from ponant.cli.setup import setup
from ponant.hub import Catalogue
from ponant.kit.errors import NotFound
from tests.fakes.hub import FakeHub

_app = typer.Typer()
_app.command("setup")(setup)
_app.command("pull")(pull)


def _run(home: Path, *arguments: str, hub: str = "") -> Result:
    environment = {"PONANT_HOME": str(home), "COLUMNS": "200", "HF_ENDPOINT": hub}
    return CliRunner().invoke(_app, arguments, env=environment)


@pytest.mark.model
def test_a_second_setup_has_nothing_to_do(home: Path) -> None:
    result = _run(home, "setup", "--models-only")
    assert result.exit_code == 0, result.output
    assert result.output.strip() == ""


@pytest.mark.model
def test_a_model_is_pulled_by_its_name_and_introduced(
    tmp_path: Path, models_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    folder = models_home / "models" / "embed-en"
    names = ("config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json")
    with FakeHub().running() as hub:
        hub.repositories["acme/meaning"] = {name: (folder / name).read_bytes() for name in names}
        hub.tags["acme/meaning"] = ["license:apache-2.0"]
        result = _run(tmp_path, "pull", "acme/meaning", hub=hub.url)
    assert result.exit_code == 0, result.output
    assert "acme/meaning is here: bert, run by numpy" in result.output
    assert "apache-2.0" in result.output
    assert Catalogue(tmp_path).get("meaning").kind == "embed"


def test_what_cannot_be_pulled_ends_with_an_error_and_stores_nothing(tmp_path: Path) -> None:
    result = _run(tmp_path, "pull", "./absent.gguf")
    assert isinstance(result.exception, NotFound)
    assert Catalogue(tmp_path).models() == []
