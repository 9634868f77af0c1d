"""What a repository may be called, and what is said of other names."""

import asyncio
from pathlib import Path

import pytest

from ponant.kit.errors import BadRequest
from ponant.kit.network import Network
from ponant.live.sources.git import KIND
from ponant.live.sources.kinds import Context
from ponant.live.sources.roots import Roots


def _context(home: Path) -> Context:
    return Context(
        home=home,
        roots=Roots(home, ()),
        network=Network(everything=True),
        trusted=True,
        aside=asyncio.to_thread,
    )


@pytest.mark.parametrize(
    "address",
    ["ssh://git@example.org/team/a.git", "git@example.org:team/a.git", "git+ssh://example.org/a"],
)
def test_ssh_is_refused_with_what_works(tmp_path: Path, address: str) -> None:
    with pytest.raises(BadRequest, match=r"https:// address .* token"):
        KIND.checked({"repository": address}, {}, _context(tmp_path / "home"))


@pytest.mark.parametrize("address", ["git://example.org/a", "file:///etc", "ext::sh -c id://"])
def test_other_ways_are_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(BadRequest, match="https://"):
        KIND.checked({"repository": address}, {}, _context(tmp_path / "home"))


def test_a_folder_with_odd_letters_is_one(tmp_path: Path) -> None:
    folder = tmp_path / "a@b:c"
    folder.mkdir()
    checked = KIND.checked({"repository": str(folder)}, {}, _context(tmp_path / "home"))
    assert checked.repository == str(folder)
