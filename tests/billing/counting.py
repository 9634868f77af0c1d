"""Counts budgets anew, in plain Python, to hold their counters against."""

from sqlalchemy import select

from ponant.accounts import Principal
from ponant.billing.tables import CounterRow, ReservationRow, UsageRow
from ponant.store import Database, in_scope


def check_counters(database: Database, caller: Principal) -> None:
    """Fail unless every counter is the sum of the ledger and of what is reserved."""
    with database.read() as session:
        counters, events, reservations = (
            list(session.scalars(select(table).where(in_scope(table, caller.scope))))
            for table in (CounterRow, UsageRow, ReservationRow)
        )
    for counter in counters:
        used = sum(
            one.prompt_tokens + one.completion_tokens
            for one in events
            if f"{one.occurred_at:%Y-%m}" == counter.month
            and counter.person_id in ("", one.person_id)
        )
        held = sum(
            one.tokens
            for one in reservations
            if one.month == counter.month and counter.person_id in ("", one.person_id)
        )
        assert counter.tokens == used + held, (counter.person_id, counter.month)
