"""What the catalogue finds under a home."""

from pathlib import Path

import pytest

from ponant.hub import Catalogue, Manifest
from ponant.hub.manifest import write_manifest
from ponant.kit.errors import NotFound


def _put(home: Path, folder: str, manifest: Manifest) -> None:
    place = home / "models" / folder
    place.mkdir(parents=True)
    (place / "weights").write_bytes(b"0")
    write_manifest(place, manifest)


def _manifest(model_id: str, *aliases: str) -> Manifest:
    return Manifest(id=model_id, aliases=aliases, kind="generate", format="gguf", file="weights")


def test_models_come_by_id_with_the_place_of_their_weights(tmp_path: Path) -> None:
    _put(tmp_path, "two", _manifest("zephyr"))
    _put(tmp_path, "one", _manifest("acme/breeze", "breeze"))
    models = Catalogue(tmp_path).models()
    assert [model.id for model in models] == ["acme/breeze", "zephyr"]
    assert models[0].path == tmp_path / "models" / "one" / "weights"


def test_an_id_goes_before_an_alias(tmp_path: Path) -> None:
    _put(tmp_path, "a", _manifest("a", "b"))
    _put(tmp_path, "b", _manifest("b", "c"))
    catalogue = Catalogue(tmp_path)
    assert catalogue.get("b").id == "b"
    assert catalogue.get("c").id == "b"


def test_an_unknown_model_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="ponant setup"):
        Catalogue(tmp_path).get("starter")
    _put(tmp_path, "a", _manifest("a"))
    with pytest.raises(NotFound, match="There are: a"):
        Catalogue(tmp_path).get("starter")


def test_what_is_damaged_or_half_done_hides_nothing_else(tmp_path: Path) -> None:
    _put(tmp_path, "good", _manifest("good"))
    _put(tmp_path, "bare", _manifest("bare"))
    (tmp_path / "models" / "bare" / "weights").unlink()
    _put(tmp_path, "torn", _manifest("torn"))
    (tmp_path / "models" / "torn" / "model.json").write_text('{"id": "to')
    _put(tmp_path, ".staging-new", _manifest("new"))
    assert [model.id for model in Catalogue(tmp_path).models()] == ["good"]
