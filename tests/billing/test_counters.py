"""Whatever happens in whatever order, a counter is the ledger and what is reserved."""

import tempfile
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ponant.accounts import Principal, Role
from ponant.billing import Ledger, usage_event
from ponant.billing.budgets import LEASE
from ponant.engine import Usage
from ponant.kit import new_id
from ponant.kit.errors import NotFound
from ponant.store import Database
from tests.billing.counting import check_counters
from tests.fakes.clock import FakeClock

_LIMIT = 100
_PEOPLE = ("per_ada", "per_bob")

people = st.sampled_from(_PEOPLE)
tokens = st.integers(0, 60)


class Budgeting(RuleBasedStateMachine):
    """Two server processes over one database, of which one may not know yet what the other set."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.database = Database.at(Path(self.folder.name) / "ponant.db")
        self.database.migrate("ponant")
        self.ledgers = [Ledger(self.database, self.clock) for _ in range(2)]
        self.admin = Principal("org", "ws", "per_admin", Role.ADMIN, None, None, "Admin")
        self.held: list[tuple[str, str, int, datetime]] = []
        self.late = False  # what outlives its lease may be counted on top

    def teardown(self) -> None:
        for ledger in self.ledgers:
            ledger.close()
        self.database.close()
        self.folder.cleanup()

    @initialize()
    def begin(self) -> None:
        self.ledgers[0].budgets.set(self.admin, _LIMIT)
        self.ledgers[1].budgets.refresh()

    @rule(person=people, most=tokens, process=st.sampled_from([0, 1]))
    def ask(self, person: str, most: int, process: int) -> None:
        name = new_id("hold")
        caller = replace(self.admin, person_id=person)
        if self.ledgers[process].budgets._reserve(caller, most, name) is None:
            self.held.append((name, person, most, self.clock.now()))

    @rule(data=st.data(), process=st.sampled_from([0, 1]))
    def end(self, data: st.DataObject, process: int) -> None:
        if not self.held:
            return
        name, person, most, begun = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        caller = replace(self.admin, person_id=person)
        if data.draw(st.booleans()):
            self.ledgers[process].budgets._release(caller, name)
            return
        self.late = self.late or self.clock.now() - begun >= LEASE
        used = Usage(prompt_tokens=data.draw(st.integers(0, most)), completion_tokens=0)
        self.ledgers[process].record(usage_event(caller, "starter", used, begun), name)

    @rule(person=people, process=st.sampled_from([0, 1]))
    def set_of_a_person(self, person: str, process: int) -> None:
        self.ledgers[process].budgets.set(self.admin, _LIMIT // 2, person)
        self.ledgers[1 - process].budgets.refresh()

    @rule(person=people, process=st.sampled_from([0, 1]))
    def remove(self, person: str, process: int) -> None:
        try:
            self.ledgers[process].budgets.remove(self.admin, person)
        except NotFound:
            return
        self.ledgers[1 - process].budgets.refresh()

    @rule(hours=st.sampled_from([0.25, 2, 24 * 20]))
    def wait(self, hours: float) -> None:
        self.clock.move(timedelta(hours=hours))

    @invariant()
    def counters_are_exact(self) -> None:
        check_counters(self.database, self.admin)

    @invariant()
    def nothing_is_overspent(self) -> None:
        if self.late:
            return
        for budget in self.ledgers[0].budgets.list(self.admin):
            if budget.person_id is None:
                assert budget.used + budget.reserved <= _LIMIT


TestBudgeting = Budgeting.TestCase
TestBudgeting.settings = settings(
    max_examples=8,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
