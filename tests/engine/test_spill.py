"""Pages on disk: found again after a restart, by nobody else, and never when they are damaged."""

import stat
import threading
from pathlib import Path

import pytest

from ponant.engine import spill
from ponant.engine.cache import PAGE_TOKENS, PageTable
from ponant.engine.sequence import Sequence, Work
from ponant.engine.spill import Spill
from tests.engine.page_audit import audit
from tests.fakes.pages import FakePages, wait_for

PAGES = 8
DOCUMENT = list(range(5 * PAGE_TOKENS))
FILE_BYTES = 8 + 32 + 2 + 8 * PAGE_TOKENS


class Machine:
    """A cache with its pages, as one life of a process has it."""

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int = 1 << 20,
        form: str = "packed",
        model_hash: str = "m",
    ) -> None:
        self.pages = FakePages(PAGES)
        self.spill = Spill(folder, self.pages, most_bytes)
        self.table = PageTable(PAGES, model_hash=model_hash, weight_form=form, store=self.spill)

    def read(
        self,
        scope: str,
        tokens: list[int],
        *,
        adapter: str = "",
        tags: list[tuple[int, str]] | None = None,
    ) -> int:
        """Run a prompt, checking everything that is read; how much of it was cached."""
        lease = self.table.open(scope, tokens, adapter=adapter, tags=tags or [])
        assert self.table.extend(lease, len(tokens))
        if (reading := self.table.restore(lease)) is not None:
            assert wait_for(reading)
            self.table.restored(lease, tokens, reading)
        sequence = Sequence("one", scope, tokens, lease=lease)
        self.pages.run([Work(sequence, lease.cached_tokens, len(tokens) - lease.cached_tokens)])
        self.table.publish(lease, tokens, len(tokens))
        audit(self.table, [lease])
        self.table.close(lease)
        audit(self.table, [])
        return lease.cached_tokens

    def end(self) -> None:
        """Save everything and end."""
        while self.table.save(2):
            pass
        self.spill.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kv"


@pytest.fixture
def filled(folder: Path) -> list[Path]:
    """The files of five pages that one life left."""
    machine = Machine(folder)
    assert machine.read("mine", DOCUMENT) == 0
    machine.end()
    return sorted(folder.glob("*.page"))


def test_a_document_survives_a_restart(folder: Path, filled: list[Path]) -> None:
    assert len(filled) == 5
    machine = Machine(folder)
    assert machine.read("mine", [*DOCUMENT, 7]) == 5 * PAGE_TOKENS
    assert machine.read("mine", [*DOCUMENT, 8]) == 5 * PAGE_TOKENS
    assert machine.spill.loaded == 5
    machine.end()
    assert machine.spill.saved == 0


def test_a_part_of_a_document_is_found(folder: Path, filled: list[Path]) -> None:
    machine = Machine(folder)
    assert machine.read("mine", [*DOCUMENT[: 2 * PAGE_TOKENS + 3], 99]) == 2 * PAGE_TOKENS
    assert machine.read("mine", [*DOCUMENT, 7]) == 5 * PAGE_TOKENS
    machine.end()


@pytest.mark.parametrize(
    ("scope", "adapter", "form", "model_hash"),
    [
        ("theirs", "", "packed", "m"),
        ("mine", "other", "packed", "m"),
        ("mine", "", "bf16", "m"),
        ("mine", "", "packed", "another"),
    ],
)
def test_nobody_else_finds_it(
    folder: Path, filled: list[Path], scope: str, adapter: str, form: str, model_hash: str
) -> None:
    machine = Machine(folder, form=form, model_hash=model_hash)
    assert machine.read(scope, DOCUMENT, adapter=adapter) == 0
    assert machine.spill.loaded == 0
    machine.end()


def test_files_are_for_their_owner_alone(folder: Path, filled: list[Path]) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_names_tell_nothing(tmp_path: Path, filled: list[Path]) -> None:
    other = Machine(tmp_path / "other")
    other.read("mine", DOCUMENT)
    other.end()
    names = {path.name for path in (tmp_path / "other").glob("*.page")}
    assert len(names) == 5
    assert not names & {path.name for path in filled}


@pytest.mark.parametrize("fault", ["flipped", "cut", "empty", "swapped", "foreign"])
def test_a_damaged_file_is_ignored_and_removed(
    folder: Path, filled: list[Path], fault: str
) -> None:
    whole = [path.read_bytes() for path in filled]
    for path, data, other in zip(filled, whole, whole[1:] + whole[:1], strict=True):
        match fault:
            case "flipped":
                path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            case "cut":
                path.write_bytes(data[:50])
            case "empty":
                path.write_bytes(b"")
            case "swapped":
                path.write_bytes(other)
            case "foreign":
                path.write_bytes(b"x" * len(data))
    machine = Machine(folder)
    assert machine.read("mine", DOCUMENT) == 0
    assert machine.spill.loaded == 0
    machine.end()
    again = Machine(folder)
    assert again.read("mine", [*DOCUMENT, 1]) == 5 * PAGE_TOKENS
    again.end()


def test_what_is_no_page_is_removed(folder: Path, filled: list[Path]) -> None:
    (folder / "left.new").write_bytes(b"half a page")
    (folder / "note.txt").write_text("hello")
    (folder / "link.page").symlink_to("/etc/hostname")
    Machine(folder).end()
    assert sorted(folder.glob("*.page")) == filled
    assert {path.name for path in folder.iterdir()} == {"key", *(path.name for path in filled)}


def test_without_the_key_nothing_is_found(folder: Path, filled: list[Path]) -> None:
    (folder / "key").write_bytes(b"short")
    machine = Machine(folder)
    assert machine.read("mine", DOCUMENT) == 0
    machine.end()


def test_the_least_recently_used_files_go_first(folder: Path) -> None:
    machine = Machine(folder, most_bytes=6 * FILE_BYTES)
    machine.read("mine", DOCUMENT)
    machine.end()
    machine = Machine(folder, most_bytes=6 * FILE_BYTES)
    machine.read("mine", DOCUMENT[: 3 * PAGE_TOKENS + 1])
    machine.read("mine", [9] * 3 * PAGE_TOKENS)
    machine.end()
    assert sum(path.stat().st_size for path in folder.glob("*.page")) <= 6 * FILE_BYTES
    machine = Machine(folder)
    assert machine.read("mine", [*DOCUMENT, 1]) == 3 * PAGE_TOKENS
    assert machine.read("mine", [9] * 4 * PAGE_TOKENS) == 3 * PAGE_TOKENS
    machine.end()


def test_a_smaller_bound_holds_from_the_start(folder: Path, filled: list[Path]) -> None:
    Machine(folder, most_bytes=2 * FILE_BYTES).end()
    assert len(list(folder.glob("*.page"))) == 2


def test_what_loses_its_page_comes_back_from_disk(folder: Path) -> None:
    machine = Machine(folder)
    machine.read("mine", DOCUMENT)
    machine.read("theirs", [3] * PAGES * PAGE_TOKENS)
    assert machine.read("mine", [*DOCUMENT, 1]) == 5 * PAGE_TOKENS
    assert machine.spill.loaded > 0
    machine.end()


def test_a_full_disk_costs_only_the_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(folder)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ponant.engine.spill._write_private", full)
    assert machine.read("mine", DOCUMENT) == 0
    machine.end()
    assert not list(folder.glob("*.page"))
    monkeypatch.undo()
    machine = Machine(folder)
    assert machine.read("mine", DOCUMENT) == 0
    machine.end()


def test_a_slow_disk_does_not_hold_the_step(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ponant.engine.spill._UNWRITTEN_BYTES", 2 * 8 * PAGE_TOKENS)
    write, ready = spill._write_private, threading.Event()

    def slow(path: Path, data: bytes) -> None:
        assert ready.wait(60)
        write(path, data)

    machine = Machine(folder)
    monkeypatch.setattr("ponant.engine.spill._write_private", slow)
    machine.read("mine", DOCUMENT)
    assert machine.table.save(9) == 2
    assert machine.read("mine", [*DOCUMENT, 1]) == 5 * PAGE_TOKENS
    ready.set()
    while machine.table.save(9):
        pass
    machine.spill.close()
    assert len(list(folder.glob("*.page"))) == 5


def test_what_is_not_written_yet_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, ready = spill._write_private, threading.Event()
    machine = Machine(folder)
    monkeypatch.setattr(
        "ponant.engine.spill._write_private",
        lambda path, data: ready.wait(60) and write(path, data),
    )
    machine.read("mine", DOCUMENT)
    machine.read("theirs", [3] * PAGES * PAGE_TOKENS)
    assert machine.read("mine", [*DOCUMENT, 1]) == 5 * PAGE_TOKENS
    ready.set()
    machine.end()


def test_what_is_unsaved_at_the_end_is_saved_then(folder: Path) -> None:
    machine = Machine(folder)
    machine.read("mine", DOCUMENT)
    machine.table.finish()
    assert len(list(folder.glob("*.page"))) == 5


@pytest.mark.parametrize("restarts", [False, True])
def test_what_is_forgotten_leaves_the_disk(folder: Path, restarts: bool) -> None:
    machine = Machine(folder)
    machine.read("mine", DOCUMENT, tags=[(2 * PAGE_TOKENS, "doc/passage")])
    machine.read("mine", [99] * 2 * PAGE_TOKENS)
    machine.end()
    assert len(list(folder.glob("*.page"))) == 7
    if restarts:
        machine = Machine(folder)
    machine.table.forget(["doc/passage", "unheard of"])
    assert len(list(folder.glob("*.page"))) == 4
    assert b"doc/passage" not in b"".join(path.read_bytes() for path in folder.iterdir())
    later = Machine(folder)
    assert later.read("mine", [*DOCUMENT, 7]) == 2 * PAGE_TOKENS
    later.end()


def test_what_is_forgotten_before_it_is_written_never_is(folder: Path) -> None:
    machine = Machine(folder)
    machine.read("mine", DOCUMENT, tags=[(0, "doc/passage")])
    machine.table.save(5)
    machine.table.forget(["doc/passage"])
    machine.end()
    assert list(folder.glob("*.page")) == []


@pytest.mark.parametrize("restarts", [False, True])
def test_who_goes_on_behind_a_tagged_page_keeps_its_tag(folder: Path, restarts: bool) -> None:
    """Whether the pages were in memory still or came back from disk."""
    machine = Machine(folder)
    machine.read("mine", DOCUMENT, tags=[(2 * PAGE_TOKENS, "doc/passage")])
    if restarts:
        machine.end()
        machine = Machine(folder)
    longer = [*DOCUMENT, *range(2 * PAGE_TOKENS)]
    assert machine.read("mine", longer) == 5 * PAGE_TOKENS
    machine.table.save(PAGES)
    machine.table.forget(["doc/passage"])
    audit(machine.table, [])
    assert machine.read("mine", longer[: 2 * PAGE_TOKENS + 1]) == 2 * PAGE_TOKENS
    machine.end()
    assert len(list(folder.glob("*.page"))) == 2
    later = Machine(folder)
    assert later.read("mine", longer) == 2 * PAGE_TOKENS
    later.end()
