"""Names of models by what their files hold."""

import hashlib
import os
from pathlib import Path

from ponant.engine.weights.naming import model_hash


def test_a_file_is_named_by_its_bytes_and_read_once(tmp_path: Path) -> None:
    file, cache = tmp_path / "model.gguf", tmp_path / "cache"
    file.write_bytes(b"weights")
    name = hashlib.sha256(b"weights").hexdigest()
    assert model_hash(file) == name
    assert model_hash(file, cache) == name
    [note] = cache.iterdir()
    note.write_text("f" * 64)  # what is remembered is believed
    assert model_hash(file, cache) == "f" * 64
    note.write_text("damaged")
    assert model_hash(file, cache) == name


def test_a_file_that_changed_is_named_anew(tmp_path: Path) -> None:
    file, cache = tmp_path / "model.gguf", tmp_path / "cache"
    file.write_bytes(b"weights")
    before = model_hash(file, cache)
    status = file.stat()
    file.write_bytes(b"WEIGHTS")
    # The same length and time of change: the inode's own time still tells.
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert model_hash(file, cache) != before


def test_a_folder_is_named_by_its_files_and_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    one = model_hash(folder, tmp_path / "cache")
    (folder / "a").rename(folder / "b")
    assert model_hash(folder, tmp_path / "cache") != one


def test_a_cache_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"weights")
    blocked = tmp_path / "cache"
    blocked.write_text("a file")
    assert model_hash(file, blocked) == model_hash(file)
