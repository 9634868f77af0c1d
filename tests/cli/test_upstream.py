"""``ponant upstream``, from adding a server to forgetting it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ponant.cli.upstream import app
from ponant.kit.errors import Conflict, NotFound
from tests.fakes.openai_server import fake_openai

_RUNNER = CliRunner()


def _run(*arguments: str) -> str:
    result = _RUNNER.invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONANT_HOME", str(tmp_path / "home"))


def test_a_server_is_added_listed_and_removed() -> None:
    with fake_openai() as parrot:
        said = _run("add", parrot.url, "--name", "birds")
        assert "birds/parrot" in said
        assert "leaves this machine" not in said  # it runs on the loopback
        [listed] = json.loads(_run("list", "--json"))
        assert listed == {"name": "birds", "url": f"{parrot.url}/v1", "key_env": None}
        with pytest.raises(Conflict, match="already"):
            _run("add", parrot.url, "--name", "birds")
    _run("remove", "birds")
    assert json.loads(_run("list", "--json")) == []
    with pytest.raises(NotFound, match="no upstream birds"):
        _run("remove", "birds")


def test_one_that_does_not_run_yet_is_kept() -> None:
    assert "does not answer yet" in _run("add", "http://127.0.0.1:1", "--name", "later")
    assert "later" in _run("list")
