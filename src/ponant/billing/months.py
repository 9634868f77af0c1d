"""Months of UTC, by which budgets are counted."""

import calendar
from datetime import UTC, datetime


def month_of(moment: datetime) -> str:
    """The month of a moment, such as ``2026-11``."""
    return moment.astimezone(UTC).strftime("%Y-%m")


def bounds(month: str) -> tuple[datetime, datetime]:
    """When a month starts, and when the next one does."""
    start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    return start, start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)


def in_words(month: str) -> tuple[str, str]:
    """A month and the day that it ends with, such as ``November 2026`` and ``1 December``."""
    start, end = bounds(month)
    return (
        f"{calendar.month_name[start.month]} {start.year}",
        f"{end.day} {calendar.month_name[end.month]}",
    )
