"""The statements over the ledger's table."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Integer, cast, func, insert, select
from sqlalchemy.orm import Session

from ponant.billing.schemas import GroupBy, UsageEvent, UsageSum
from ponant.billing.tables import UsageRow
from ponant.store import Scope, in_scope

_GROUPS: dict[GroupBy, ColumnElement[object]] = {
    GroupBy.DAY: func.date(UsageRow.occurred_at),
    GroupBy.MODEL: UsageRow.__table__.c.model,
    GroupBy.KEY: UsageRow.__table__.c.key_id,
}

TABLE = UsageRow.metadata.tables[UsageRow.__tablename__]
_FIELDS = tuple(UsageEvent.__dataclass_fields__)


def known(session: Session, workspace_id: str, event_ids: Sequence[str]) -> dict[str, UsageEvent]:
    """The events of a workspace that are on record under these ids."""
    found = session.scalars(
        select(UsageRow).where(
            in_scope(UsageRow, Scope(workspace_id=workspace_id)), UsageRow.event_id.in_(event_ids)
        )
    )
    return {row.event_id: _event(row) for row in found}


def add(session: Session, events: Sequence[UsageEvent], now: datetime) -> None:
    session.execute(insert(TABLE), rows(events, now))


def rows(events: Sequence[UsageEvent], now: datetime) -> list[dict[str, Any]]:
    """The events as rows of `TABLE`."""
    received = {"received_at": now}
    return [{name: getattr(event, name) for name in _FIELDS} | received for event in events]


def summary(
    session: Session,
    scope: Scope,
    since: datetime,
    until: datetime,
    by: GroupBy,
    person_id: str | None,
) -> list[UsageSum]:
    """Sums over the events in [since, until), of one person where one is named."""
    group = _GROUPS[by]
    statement = (
        select(
            group.label("group"),
            func.count().label("requests"),
            _total(cast(UsageRow.aborted, Integer), "aborted"),
            *(
                _total(getattr(UsageRow, name), name)
                for name in (
                    "prompt_tokens",
                    "cached_tokens",
                    "completion_tokens",
                    "reasoning_tokens",
                )
            ),
        )
        .where(
            in_scope(UsageRow, scope), UsageRow.occurred_at >= since, UsageRow.occurred_at < until
        )
        .group_by(group)
        .order_by(group)
    )
    if person_id is not None:
        statement = statement.where(UsageRow.person_id == person_id)
    found = session.execute(statement).mappings()
    return [UsageSum(**{**row, "group": str(row["group"] or "")}) for row in found]


def _total(column: ColumnElement[int], name: str) -> ColumnElement[int]:
    # A sum of integers is a decimal on Postgres.
    return cast(func.coalesce(func.sum(column), 0), Integer).label(name)


def _event(row: UsageRow) -> UsageEvent:
    return UsageEvent(**{name: getattr(row, name) for name in _FIELDS})
