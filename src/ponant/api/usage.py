"""What was used, summed up."""

from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

from ponant.api.auth import Caller
from ponant.api.platform import Services
from ponant.billing import GroupBy
from ponant.kit.errors import Unprocessable

router = APIRouter(prefix="/v1/admin/usage", tags=["usage"])

_DEFAULT_SPAN = timedelta(days=30)
_FIRST_YEAR, _LAST_YEAR = 1970, 9998


@router.get("", summary="Sum up usage")
def usage(
    caller: Caller,
    services: Services,
    since: Annotated[
        datetime | date | None,
        Query(description="From here on; 30 days before until if not given."),
    ] = None,
    until: Annotated[
        datetime | date | None, Query(description="Up to here, exclusive; now if not given.")
    ] = None,
    by: Annotated[GroupBy, Query(description="What each row stands for.")] = GroupBy.DAY,
) -> dict[str, Any]:
    """Requests and tokens in [since, until), in UTC.

    An administrator sees the workspace's, everybody else their own.
    """
    end = _moment(until) if until else services.clock.now()
    start = _moment(since) if since else end - _DEFAULT_SPAN
    if start > end:
        raise Unprocessable("since lies after until. Swap them.", param="since")
    sums = services.ledger.summary(caller, start, end, by)
    return {
        "object": "list",
        "since": start,
        "until": end,
        "by": by,
        "data": [asdict(row) for row in sums],
    }


def _moment(value: datetime | date) -> datetime:
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise Unprocessable(f"Nothing was used in the year {value.year}. Choose another date.")
    if not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    return value if value.tzinfo else value.replace(tzinfo=UTC)
