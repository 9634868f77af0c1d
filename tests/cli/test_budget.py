"""``ponant budget``, over the database of a home."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ponant.cli import budget, people
from ponant.kit.errors import NotFound


def _run(module: object, *arguments: str) -> str:
    result = CliRunner().invoke(module.app, list(arguments))  # type: ignore[attr-defined]
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def test_budgets_are_set_listed_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PONANT_HOME", str(tmp_path / "home"))
    _run(people, "add", "Ada Byron", "--email", "ada@example.org")
    assert "0 of 1,000,000 tokens" in _run(budget, "set", "1000000")
    _run(budget, "set", "50000", "--person", "ada@example.org")
    listed = json.loads(_run(budget, "list", "--json"))
    assert [(one["whose"], one["tokens"], one["left"]) for one in listed] == [
        ("(workspace)", 1_000_000, 1_000_000),
        ("Ada Byron", 50_000, 50_000),
    ]
    assert "Ada Byron" in _run(budget, "list")
    _run(budget, "remove")
    with pytest.raises(NotFound, match="budget list"):
        _run(budget, "remove")
    with pytest.raises(NotFound, match="people list"):
        _run(budget, "set", "10", "--person", "nobody@example.org")
    assert len(json.loads(_run(budget, "list", "--json"))) == 1
