"""Every setting, command and route is documented, and the pages say what the code does."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import typer

from ponant.kit import Settings

_REFERENCE = Path(__file__).parent.parent.parent / "docs" / "reference"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", _REFERENCE / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["settings.md", "commands.md", "http.md"])
def test_a_page_says_what_the_code_does(reference: ModuleType, page: str) -> None:
    written = (_REFERENCE / page).read_text(encoding="utf-8")
    assert written == reference.PAGES[page](), "run: python docs/reference/generate.py"


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_every_command_and_parameter_is_described(reference: ModuleType) -> None:
    root = typer.main.get_command(reference.commands)
    for path, command in reference._walk(root, "ponant"):
        assert command.help, path
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{path} {parameter.name}"


def test_every_route_is_described(reference: ModuleType) -> None:
    found = reference.routes()
    assert ("POST", "/v1/chat/completions") in {(method, path) for method, path, _ in found}
    for method, path, description in found:
        assert description, f"{method} {path}"
