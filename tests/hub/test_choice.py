"""Which files of a repository are taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.hub.choice import RepositoryFile, choose
from ponant.kit.errors import SetupError


def _offer(*paths: str) -> list[RepositoryFile]:
    return [RepositoryFile(path, 100 + number) for number, path in enumerate(paths)]


def _taken(*paths: str, wanted: str | None = None) -> list[str]:
    return [file.path for file in choose(_offer(*paths), wanted).files]


def test_all_parts_of_split_weights_are_taken_and_the_first_is_opened() -> None:
    parts = [f"Q8_0/b-Q8_0-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    choice = choose(_offer(*reversed(parts), "b-Q2_K.gguf"))
    assert choice.weights.path == parts[0]
    assert [file.path for file in choice.files] == parts
    assert choice.size == sum(file.size for file in choice.files)


def test_parts_without_their_first_are_refused() -> None:
    with pytest.raises(SetupError, match="first part"):
        choose(_offer("b-00002-of-00002.gguf"))


def test_a_projector_for_images_is_no_language_model() -> None:
    assert _taken("mmproj-b.gguf", "b.gguf") == ["b.gguf"]


def test_gguf_goes_before_safetensors_unless_those_are_asked_for() -> None:
    both = ("b.gguf", "model.safetensors", "config.json")
    assert _taken(*both) == ["b.gguf"]
    assert _taken(*both, wanted="model.safetensors") == ["config.json", "model.safetensors"]


def test_all_shards_are_taken_and_a_second_copy_of_the_weights_is_not() -> None:
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    beside = ["config.json", "model.safetensors.index.json", "tokenizer.json"]
    taken = _taken(*shards, *beside, "consolidated.safetensors", "model.onnx", "train.py")
    assert sorted(taken) == sorted([*shards, *beside])


def test_mistrals_own_layout_is_taken_alone_or_where_it_is_asked_for() -> None:
    own = ["consolidated.safetensors", "params.json", "tekken.json", "tokenizer.model.v3"]
    assert sorted(_taken(*own, "pytorch_model.bin")) == own
    both = [*own, "config.json", "model.safetensors.index.json", "model-00001-of-00001.safetensors"]
    taken = _taken(*both, wanted="consolidated.safetensors")
    assert sorted(taken) == sorted([*own, "config.json"])


def test_weights_that_are_not_there_are_answered_with_those_that_are() -> None:
    with pytest.raises(SetupError, match=r"called Q3_K.*There are: b-Q8_0\.gguf"):
        choose(_offer("b-Q8_0.gguf"), "Q3_K")


_parts = st.sampled_from(["..", ".", "a", "evil", "model", "config", "-00001-of-00001"])
_ends = st.sampled_from([".gguf", ".safetensors", ".json", ".bin", ".py", ".pt", ".pkl", "/x.gguf"])
_paths = st.builds(lambda parts, end: "/".join(parts) + end, st.lists(_parts, max_size=4), _ends)


@given(st.lists(st.one_of(_paths, st.just("/etc/b.gguf"), st.just("b\\..\\c.gguf")), max_size=12))
def test_nothing_with_code_and_nothing_outside_the_folder_is_ever_taken(paths: list[str]) -> None:
    try:
        taken = choose(_offer(*paths)).files
    except SetupError:
        return
    for file in taken:
        assert file.path in paths
        assert not file.path.endswith((".bin", ".py", ".pt", ".pkl"))
        assert not file.path.startswith("/")
        assert ".." not in file.path.split("/")
        assert "\\" not in file.path
