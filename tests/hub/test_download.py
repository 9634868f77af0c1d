"""Downloads from servers that do less than one hopes."""

import os
from pathlib import Path

import httpx
import pytest

from ponant.hub.download import download
from tests.fakes.hub import FakeHub


def _fetch(hub: FakeHub, part: Path, size: int) -> list[int]:
    seen: list[int] = []
    url = f"{hub.url}/a/b/resolve/main/w.gguf"
    download(url, part, size=size, headers={}, report=seen.append)
    return seen


def test_a_server_that_knows_no_ranges_starts_over(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "part").write_bytes(content[:100_000])
    with FakeHub().running() as hub:
        hub.repositories["a/b"] = {"w.gguf": content}
        hub.knows_ranges = False
        seen = _fetch(hub, tmp_path / "part", len(content))
    assert (tmp_path / "part").read_bytes() == content
    assert seen == sorted(seen)
    assert seen[-1] == len(content)


def test_what_has_wholly_arrived_is_not_asked_for_again(tmp_path: Path) -> None:
    content = os.urandom(1000)
    (tmp_path / "part").write_bytes(content)
    with FakeHub().running() as hub:
        hub.repositories["a/b"] = {"w.gguf": content}
        assert _fetch(hub, tmp_path / "part", len(content)) == []
        assert hub.sent == 0


def test_more_than_there_can_be_is_thrown_away(tmp_path: Path) -> None:
    content = os.urandom(1000)
    (tmp_path / "part").write_bytes(b"0" * 2000)
    with FakeHub().running() as hub:
        hub.repositories["a/b"] = {"w.gguf": content}
        _fetch(hub, tmp_path / "part", len(content))
    assert (tmp_path / "part").read_bytes() == content


def test_a_refusal_is_not_tried_again(tmp_path: Path) -> None:
    with FakeHub().running() as hub, pytest.raises(httpx.HTTPStatusError):
        _fetch(hub, tmp_path / "part", 1000)
    assert not (tmp_path / "part").exists()
