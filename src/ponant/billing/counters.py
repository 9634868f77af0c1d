"""The statements over budgets, their counters and their reservations.

A counter is the sum of the ledger and of what is reserved, of one month and one subject: a person,
or the whole workspace, whose id here is empty.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, true, update
from sqlalchemy.orm import Session

from ponant.billing.months import bounds
from ponant.billing.tables import BudgetRow, CounterRow, ReservationRow, UsageRow
from ponant.store import Scope, in_scope, upserts

WORKSPACE = ""

Subject = tuple[str, str]  # a workspace, and a person in it or `WORKSPACE`
Moves = Counter[tuple[str, str, str]]  # tokens by workspace, subject and month


def subjects(session: Session) -> frozenset[Subject]:
    """Everybody who has a budget."""
    rows = session.execute(select(BudgetRow.workspace_id, BudgetRow.person_id))
    return frozenset((workspace_id, person_id) for workspace_id, person_id in rows)


def limits(session: Session, workspace_id: str) -> dict[str, int]:
    """The budgets of a workspace, its own first."""
    rows = session.execute(
        select(BudgetRow.person_id, BudgetRow.tokens)
        .where(BudgetRow.workspace_id == workspace_id)
        .order_by(BudgetRow.person_id)
    )
    return {person_id: tokens for person_id, tokens in rows}  # noqa: C416 - a result has keys()


def set_limit(session: Session, subject: Subject, tokens: int) -> None:
    workspace_id, person_id = subject
    row = {"workspace_id": workspace_id, "person_id": person_id, "tokens": tokens}
    session.execute(
        upserts.insert(session, BudgetRow)
        .values(row)
        .on_conflict_do_update(
            index_elements=["workspace_id", "person_id"], set_={"tokens": tokens}
        )
    )


def remove_limit(session: Session, subject: Subject) -> bool:
    """Whether there was one."""
    workspace_id, person_id = subject
    gone = session.execute(
        delete(BudgetRow)
        .where(BudgetRow.workspace_id == workspace_id, BudgetRow.person_id == person_id)
        .returning(BudgetRow.person_id)
    )
    return gone.first() is not None


def forget(session: Session, subject: Subject) -> None:
    """Have a subject counted anew."""
    workspace_id, person_id = subject
    session.execute(
        delete(CounterRow).where(
            in_scope(CounterRow, Scope(workspace_id=workspace_id)),
            CounterRow.person_id == person_id,
        )
    )


def counted(session: Session, scope: Scope, person_id: str, month: str) -> int:
    """What a subject's counter stands at."""
    found = session.scalar(
        select(CounterRow.tokens).where(
            in_scope(CounterRow, scope),
            CounterRow.person_id == person_id,
            CounterRow.month == month,
        )
    )
    if found is not None:
        return found
    return used(session, scope, person_id, month) + reserved(session, scope, person_id, month)


def keep(session: Session, scope: Scope, person_id: str, month: str) -> int:
    """As `counted`; from now on the counter is there, and moves with the ledger."""
    tokens = counted(session, scope, person_id, month)
    row = {
        "workspace_id": scope.workspace_id,
        "person_id": person_id,
        "month": month,
        "tokens": tokens,
    }
    session.execute(
        upserts.insert(session, CounterRow)
        .values(row)
        .on_conflict_do_nothing(index_elements=["workspace_id", "person_id", "month"])
    )
    return tokens


def used(session: Session, scope: Scope, person_id: str, month: str) -> int:
    """The ledger's sum."""
    start, end = bounds(month)
    tokens = func.sum(UsageRow.prompt_tokens + UsageRow.completion_tokens)
    statement = select(func.coalesce(tokens, 0)).where(
        in_scope(UsageRow, scope), UsageRow.occurred_at >= start, UsageRow.occurred_at < end
    )
    # A sum of integers is a decimal on Postgres.
    return int(session.scalar(_of(statement, UsageRow.person_id, person_id)) or 0)


def reserved(session: Session, scope: Scope, person_id: str, month: str) -> int:
    """The sum of what is reserved."""
    statement = select(func.coalesce(func.sum(ReservationRow.tokens), 0)).where(
        in_scope(ReservationRow, scope), ReservationRow.month == month
    )
    return int(session.scalar(_of(statement, ReservationRow.person_id, person_id)) or 0)


def _of(statement: Any, column: Any, person_id: str) -> Any:
    return statement if person_id == WORKSPACE else statement.where(column == person_id)


def reserve(session: Session, row: Mapping[str, Any]) -> None:
    """Store a reservation, and count it."""
    session.execute(insert(ReservationRow), [dict(row)])
    move(session, moved(row["workspace_id"], row["person_id"], row["month"], row["tokens"]))


def end(session: Session, scope: Scope, ids: Iterable[str]) -> Moves:
    """Remove reservations that are still there; what is to be taken off the counters for it."""
    return _removed(session, scope, ReservationRow.id.in_(list(ids)))


def end_overdue(session: Session, scope: Scope, now: datetime) -> Moves:
    """As `end`, for those whose process never said how they ended."""
    return _removed(session, scope, ReservationRow.until <= now)


def end_all(session: Session, scope: Scope) -> Moves:
    """As `end`, for every one of a workspace."""
    return _removed(session, scope, true())


def _removed(session: Session, scope: Scope, which: ColumnElement[bool]) -> Moves:
    rows = session.execute(
        delete(ReservationRow)
        .where(in_scope(ReservationRow, scope), which)
        .returning(ReservationRow.person_id, ReservationRow.month, ReservationRow.tokens)
    )
    moves: Moves = Counter()
    for person_id, month, tokens in rows:
        moves.update(moved(scope.workspace_id or "", person_id, month, -tokens))
    return moves


def moved(workspace_id: str, person_id: str, month: str, tokens: int) -> Moves:
    """How tokens of a person move the counters: the person's own, and the workspace's."""
    return Counter(
        {
            (workspace_id, WORKSPACE, month): tokens,
            (workspace_id, person_id, month): tokens,
        }
    )


def move(session: Session, moves: Moves) -> None:
    """Add to the counters that are there; one that is not is made of the ledger later."""
    for (workspace_id, person_id, month), tokens in moves.items():
        if tokens:
            session.execute(
                update(CounterRow)
                .where(
                    in_scope(CounterRow, Scope(workspace_id=workspace_id)),
                    CounterRow.person_id == person_id,
                    CounterRow.month == month,
                )
                .values(tokens=CounterRow.tokens + tokens)
            )
