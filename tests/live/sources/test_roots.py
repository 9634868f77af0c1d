"""Which folders may be followed, listed and read."""

import os
from pathlib import Path

import pytest

from ponant.kit.errors import BadRequest, Forbidden
from ponant.live.reading.parsing import UnreadableDocument
from ponant.live.sources import files
from ponant.live.sources.roots import Roots, private_inside


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("home/models", "home/samples/w", "home/uploads/l", "root/a/.git", "root/b", "out"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "root" / "link").symlink_to(tmp_path / "out")
    return tmp_path


def _roots(tree: Path) -> Roots:
    return Roots(tree / "home", [tree / "root"])


@pytest.mark.parametrize("path", ["root", "root/a", "root/../root/b"])
def test_inside_the_roots(tree: Path, path: str) -> None:
    assert _roots(tree).checked(f"{tree}/{path}", trusted=False).is_dir()


@pytest.mark.parametrize("path", ["out", "root/..", "root/link", "root/a/.git", "root/../out", ""])
def test_outside_the_roots(tree: Path, path: str) -> None:
    with pytest.raises(Forbidden):
        _roots(tree).checked(f"{tree}/{path}", trusted=False)


@pytest.mark.parametrize("path", ["home", "home/models", "home/samples/w", "home/uploads/l"])
def test_what_ponant_keeps_is_no_source_even_inside_a_root(tree: Path, path: str) -> None:
    roots = Roots(tree / "home", [tree])
    with pytest.raises(Forbidden):
        roots.checked(str(tree / path), trusted=False)
    assert [one.name for one in roots.list(str(tree)).folders] == ["out", "root"]


def test_the_command_line_may_go_anywhere_but_to_private_places(tree: Path) -> None:
    assert _roots(tree).checked(str(tree / "out"), trusted=True) == tree / "out"
    for private in ("home", "home/models", "root/a/.git"):
        with pytest.raises(Forbidden):
            _roots(tree).checked(str(tree / private), trusted=True)


@pytest.mark.parametrize("path", ["relative", "", "/root\0/x", "~nobody/x"])
def test_a_path_that_names_no_place(tree: Path, path: str) -> None:
    with pytest.raises(BadRequest):
        _roots(tree).checked(path, trusted=True)


def test_a_folder_that_is_not_there(tree: Path) -> None:
    with pytest.raises(BadRequest, match="There is no folder"):
        _roots(tree).checked(str(tree / "root" / "c"), trusted=False)


def test_listing_shows_folders_inside_the_roots_alone(tree: Path) -> None:
    roots = _roots(tree)
    top = roots.list(None)
    assert (top.path, [one.path for one in top.folders]) == (None, [str(tree / "root")])
    inside = roots.list(str(tree / "root"))
    assert inside.parent is None
    assert [one.name for one in inside.folders] == ["a", "b"]
    assert roots.list(str(tree / "root" / "a")).parent == str(tree / "root")
    with pytest.raises(Forbidden):
        roots.list(str(tree))


def test_a_walk_passes_over_hidden_files_private_places_and_links_out_of_it(tree: Path) -> None:
    (tree / "out" / "secret.md").write_text("secret")
    (tree / "root" / ".hidden.md").write_text("x")
    (tree / "root" / "a" / ".git" / "c.md").write_text("x")
    (tree / "root" / "secret.md").symlink_to(tree / "out" / "secret.md")
    (tree / "root" / "b" / "d.md").write_text("x")
    (tree / "root" / "e.iso").write_text("x")
    (tree / "home" / "models" / "card.md").write_text("x")
    inside = files.scan(tree / "root", private_inside(tree / "home", tree / "root"))
    assert list(inside.files) == ["b/d.md"]
    assert inside.faults == (
        "secret.md is a link that leads out of the folder; put the file there",
    )
    found = files.scan(tree, private_inside(tree / "home", tree))
    assert set(found.files) == {"out/secret.md", "root/b/d.md", "root/secret.md"}
    assert found.others == 1


def test_a_read_never_leaves_the_folder(tree: Path) -> None:
    (tree / "out" / "secret.md").write_text("secret")
    (tree / "root" / "secret.md").symlink_to(tree / "out" / "secret.md")
    with pytest.raises(UnreadableDocument):
        files.read(tree / "root", "secret.md")
    for path in ("link/secret.md", "../out/secret.md"):
        with pytest.raises(FileNotFoundError):
            files.read(tree / "root", path)
    os.mkfifo(tree / "root" / "pipe.md")
    with pytest.raises(FileNotFoundError):
        files.read(tree / "root", "pipe.md")


def test_a_file_that_is_too_large_is_refused_unread(tree: Path) -> None:
    huge = tree / "root" / "huge.txt"
    with huge.open("wb") as file:
        file.truncate(files.LARGEST_FILE + 1)
    with pytest.raises(UnreadableDocument, match="the most is 100"):
        files.read(tree / "root", "huge.txt")
