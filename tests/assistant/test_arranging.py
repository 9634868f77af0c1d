"""Passages stand in prompts so that prompts begin alike, and what is withdrawn is forgotten."""

import asyncio
from dataclasses import replace
from pathlib import Path

from ponant.assistant import Assistant
from ponant.assistant.arranging import Arrangement
from ponant.assistant.grounding import Evidence
from ponant.billing import Ledger
from ponant.live.port import Notice
from ponant.store import Database
from tests.fakes.clock import FakeClock
from tests.fakes.knowledge import FakeKnowledge, hit
from tests.fakes.models import FakeModels


def _evidence(*names: str) -> list[Evidence]:
    return [
        Evidence(number, hit(name, f"About {name}."), (f"About {name}.",), (0.9,), certain=True)
        for number, name in enumerate(names, 1)
    ]


def _names(evidence: list[Evidence]) -> list[str]:
    return [one.hit.document_name for one in evidence]


def test_what_is_shown_often_comes_first() -> None:
    arrangement = Arrangement()
    for _ in range(5):
        arrangement.arranged(_evidence("often"))
    assert _names(arrangement.arranged(_evidence("rare", "often")))[0] == "often"
    assert _names(arrangement.arranged(_evidence("new", "often")))[0] == "often"


def test_the_order_does_not_depend_on_how_well_passages_fit() -> None:
    one, other = Arrangement(), Arrangement()
    names = ["desk", "gate", "cafe", "pool"]
    assert _names(one.arranged(_evidence(*names))) == _names(
        other.arranged(_evidence(*reversed(names)))
    )


def test_a_passage_keeps_the_number_under_which_it_is_cited() -> None:
    arrangement = Arrangement()
    evidence = _evidence("desk", "gate", "cafe")
    arranged = arrangement.arranged(evidence)
    assert sorted(arranged, key=lambda one: one.number) == evidence
    assert replace(arranged[0]) in evidence


def test_what_is_withdrawn_is_forgotten_by_every_model(tmp_path: Path) -> None:
    async def run() -> None:
        database, clock, models = Database.at(tmp_path / "ponant.db"), FakeClock(), FakeModels()
        database.migrate("ponant")
        ledger = Ledger(database, clock)
        assistant = Assistant(database, clock, models, FakeKnowledge(), ledger)
        assistant.withdraw(Notice(part="withdrawn", workspace_id="wsp_1", keys=("psg_1", "doc_1")))
        await assistant.close()
        assert models.forgotten == ["psg_1", "doc_1"]
        ledger.close()
        database.close()

    asyncio.run(run())
