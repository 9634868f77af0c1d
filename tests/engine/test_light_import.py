"""What the engine's doors may pull in."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["ponant.engine", "ponant.engine.weights", "ponant.engine.models"])
def test_importing_pulls_in_no_torch(name: str) -> None:
    code = f"import sys, {name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
