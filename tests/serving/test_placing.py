"""Where a model runs, what it takes, and what is said where it runs elsewhere or nowhere."""

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind

from ponant.engine.needs import llamacpp_needs, native_needs
from ponant.hub import Catalogue, InstalledModel
from ponant.hub.manifest import Manifest, write_manifest
from ponant.kit.errors import SetupError
from ponant.serving import Models, Upstreams, placing
from ponant.serving.budget import MemoryBudget
from ponant.serving.placing import Placement, place
from ponant.store import Scope
from tests.engine.models.test_forms import write
from tests.serving.asking import complete
from tests.serving.conftest import models_in
from tests.serving.gpt2 import write_gpt2

_PLENTY = 1 << 40


@pytest.fixture
def stranger(tmp_path: Path) -> InstalledModel:
    """A well-formed file of an architecture that the native engine does not know."""
    folder = tmp_path / "models" / "stranger"
    folder.mkdir(parents=True)
    writer = gguf.GGUFWriter(folder / "model.gguf", "falcon-h9")
    writer.add_context_length(128)
    writer.add_block_count(2)
    writer.add_head_count(2)
    writer.add_embedding_length(32)
    writer.add_tensor("token_embd.weight", np.zeros((8, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    write_manifest(
        folder, Manifest(id="stranger", kind="generate", format="gguf", file="model.gguf")
    )
    [model] = Catalogue(tmp_path).models()
    return model


@pytest.fixture
def starter(models_home: Path) -> InstalledModel:
    return Catalogue(models_home).get("starter")


def _placed(model: InstalledModel, setting: str = "auto", room: int = _PLENTY) -> Placement:
    return place(model, setting=setting, context_length=2048, room=room)


def test_an_unknown_architecture_goes_to_llama_cpp_and_says_so(stranger: InstalledModel) -> None:
    placed = _placed(stranger)
    assert placed.backend == "llamacpp"
    assert "does not know the architecture falcon-h9" in placed.detour
    assert placed.detour.endswith("So llama.cpp runs it.")


def test_a_format_that_the_native_engine_cannot_read_goes_to_llama_cpp(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "older"
    folder.mkdir(parents=True)
    write(folder / "model.gguf", Kind.Q4_1)
    manifest = Manifest(id="older", kind="generate", format="gguf", file="model.gguf")
    write_manifest(folder, manifest)
    [model] = Catalogue(tmp_path).models()
    placed = _placed(model)
    assert placed.backend == "llamacpp"
    assert placed.detour == (
        "The native engine cannot read tensors of format Q4_1. So llama.cpp runs it."
    )
    with pytest.raises(SetupError, match="Q4_1"):
        _placed(model, "native")


def test_what_is_asked_for_is_not_changed_silently(stranger: InstalledModel) -> None:
    with pytest.raises(SetupError, match="falcon-h9"):
        _placed(stranger, "native")


def test_without_llama_cpp_an_unknown_architecture_says_what_to_install(
    stranger: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xllamacpp", None)
    with pytest.raises(SetupError, match=r"falcon-h9.*pip install 'ponant\[llamacpp\]'"):
        _placed(stranger)


@pytest.mark.model
def test_the_starter_runs_here_and_its_needs_are_near_its_file(starter: InstalledModel) -> None:
    placed = _placed(starter)
    file = starter.path.stat().st_size
    assert placed.detour == ""
    assert 0.9 * file < native_needs(starter.path, 2048).weights < 2.5 * file
    assert llamacpp_needs(starter.path, 2048).weights == file
    longer, shorter = native_needs(starter.path, 4096), native_needs(starter.path, 2048)
    assert longer.cache == 2 * shorter.cache


@pytest.mark.model
def test_what_fits_nowhere_says_how_much_it_needs(starter: InstalledModel) -> None:
    with pytest.raises(SetupError, match=r"needs about 0\.\d GB .* may take 0\.1 GB.*smaller"):
        _placed(starter, room=100_000_000)


@pytest.mark.anyio
async def test_the_card_tells_the_detour_and_the_memory(
    tmp_path: Path, stranger: InstalledModel, upstreams: Upstreams
) -> None:
    async with models_in(tmp_path, upstreams) as models:
        [(card, takes)] = models.survey()
        assert card.backend == "llamacpp"
        assert "falcon-h9" in card.detail
        assert card.memory > 0
        assert "GB of memory" in takes
        assert isinstance(models, Models)


@pytest.mark.anyio
async def test_llama_cpp_answers_where_the_native_engine_does_not_know_the_architecture(
    tmp_path: Path, upstreams: Upstreams, scope: Scope
) -> None:
    folder = tmp_path / "models" / "elder"
    folder.mkdir(parents=True)
    write_gpt2(folder / "model.gguf")
    manifest = Manifest(id="elder", kind="generate", format="gguf", file="model.gguf")
    write_manifest(folder, manifest)
    async with models_in(tmp_path, upstreams, context=256) as models:
        model = await models.get("elder", scope)
        reply = await complete(model, "On the other side of the bay", max_tokens=8)
        assert reply.usage.completion_tokens > 0
        assert reply.usage.prompt_tokens == len("On the other side of the bay") - 3  # three "th"
        assert (model.card.state, model.card.backend) == ("ready", "llamacpp")
        assert "architecture gpt2" in model.card.detail


@pytest.mark.model
def test_what_does_not_fit_the_native_engine_goes_to_llama_cpp_and_says_so(
    starter: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = llamacpp_needs(starter.path, 2048)
    heavy = theirs._replace(weights=2 * theirs.weights)
    monkeypatch.setattr(placing, "native_needs", lambda *_: heavy)
    placed = _placed(starter, room=theirs.total)
    assert placed.backend == "llamacpp"
    assert f"needs about {heavy.total / 1e9:.1f} GB in the native engine" in placed.detour
    assert placed.detour.endswith("So llama.cpp runs it.")


def test_what_others_hold_is_not_lent_again() -> None:
    budget, held = MemoryBudget(1000 << 20), {"one": 0, "two": 0}
    budget.enter("one", lambda: held["one"])
    budget.enter("two", lambda: held["two"])
    assert budget.lend("one") == 1000 << 20
    held["one"] = 600 << 20
    assert budget.lend("two") == 400 << 20
    assert budget.lend("one") == 1000 << 20  # its own is not counted against it
    held["one"] = 2000 << 20
    assert 0 < budget.lend("two") <= 1 << 20


def test_without_a_bound_the_machine_decides() -> None:
    budget = MemoryBudget(0)
    assert budget.lend("one") == 0
    assert budget.whole > 1 << 30
