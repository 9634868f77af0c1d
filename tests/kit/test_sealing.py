"""What is sealed is opened with its key, in its place, and by nothing else."""

from pathlib import Path

import pytest

from ponant.kit.sealing import FILE, CannotOpen, Seal, is_sealed

_GIVEN = "a key of the operator's with 32 letters"


def test_a_text_comes_back_and_its_sealed_form_tells_nothing(tmp_path: Path) -> None:
    seal = Seal(tmp_path)
    sealed = seal.seal("open sesame", "lib_1:password")
    assert is_sealed(sealed)
    assert "sesame" not in sealed
    assert sealed != seal.seal("open sesame", "lib_1:password")
    assert Seal(tmp_path).open(sealed, "lib_1:password") == "open sesame"
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_it_opens_in_its_own_place_alone(tmp_path: Path) -> None:
    seal = Seal(tmp_path)
    sealed = seal.seal("open sesame", "lib_1:password")
    for wrong, about in ((sealed, "lib_2:password"), (sealed[:-8] + "AAAAAAA=", "lib_1:password")):
        with pytest.raises(CannotOpen, match="damaged"):
            seal.open(wrong, about)


def test_a_lost_key_is_named_with_its_mend_and_nothing_is_made_in_its_place(tmp_path: Path) -> None:
    sealed = Seal(tmp_path).seal("open sesame", "a")
    key = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).unlink()
    with pytest.raises(CannotOpen, match="is missing"):
        Seal(tmp_path).open(sealed, "a")
    assert not (tmp_path / FILE).exists()
    (tmp_path / FILE).write_bytes(bytes(32))
    with pytest.raises(CannotOpen, match="not the key it was sealed with"):
        Seal(tmp_path).open(sealed, "a")
    (tmp_path / FILE).write_bytes(b"short")
    with pytest.raises(CannotOpen, match="holds no key"):
        Seal(tmp_path).seal("open sesame", "a")
    (tmp_path / FILE).write_bytes(key)
    assert Seal(tmp_path).open(sealed, "a") == "open sesame"


def test_a_key_of_before_opens_beside_the_one_that_took_its_place(tmp_path: Path) -> None:
    before = Seal(tmp_path).seal("open sesame", "a")
    (tmp_path / FILE).rename(tmp_path / "kept")
    since = Seal(tmp_path).seal("open barley", "b")
    with pytest.raises(CannotOpen, match=r"beside it, as secrets\.key\.old"):
        Seal(tmp_path).open(before, "a")
    (tmp_path / "kept").rename(tmp_path / f"{FILE}.old")
    seal = Seal(tmp_path)
    assert (seal.open(before, "a"), seal.open(since, "b")) == ("open sesame", "open barley")
    assert (seal.is_current(before), seal.is_current(since)) == (False, True)


def test_the_operators_key_goes_before_the_file_which_still_opens(tmp_path: Path) -> None:
    before = Seal(tmp_path).seal("open sesame", "a")
    seal = Seal(tmp_path, _GIVEN)
    assert seal.open(before, "a") == "open sesame"
    assert not seal.is_current(before)
    sealed = seal.seal("open sesame", "a")
    assert seal.is_current(sealed)
    with pytest.raises(CannotOpen, match="PONANT_SECRETS_KEY is not the key"):
        Seal(tmp_path, _GIVEN + "!").open(sealed, "a")


def test_what_was_stored_before_there_were_seals_is_as_it_is(tmp_path: Path) -> None:
    assert Seal(tmp_path).open("open sesame", "a") == "open sesame"
