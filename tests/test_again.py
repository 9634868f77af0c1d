"""What failed counts as failed unless it passes alone, and unless too much failed."""

import json
from pathlib import Path

import pytest

from tests import again

_TESTS = """
def test_passes():
    pass

def test_fails():
    assert False
"""


@pytest.mark.parametrize(
    ("status", "failed", "expected"),
    [
        (0, [], 0),
        (1, ["passes"], 0),
        (1, ["fails"], 1),
        (1, ["passes", "fails"], 1),
        (1, ["passes", "a", "b", "c", "d", "e"], 1),
        (1, [], 1),
        (2, ["passes"], 2),
        (139, ["passes"], 139),
    ],
)
def test_the_whole_passes_only_where_what_failed_passes_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    failed: list[str],
    expected: int,
) -> None:
    file, known = tmp_path / "test_some.py", tmp_path / "lastfailed"
    file.write_text(_TESTS)
    known.write_text(json.dumps({f"{file}::test_{name}": True for name in failed}))
    monkeypatch.setattr(again, "_FAILED", known)
    assert again.main(status) == expected
