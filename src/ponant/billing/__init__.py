"""The ledger of what every generation used, and the budgets of what may be."""

from ponant.billing.bounds import most_of_several, most_read, most_tokens
from ponant.billing.ledger import Ledger
from ponant.billing.meter import metered
from ponant.billing.schemas import Budget, GroupBy, UsageEvent, UsageSum, usage_event

__all__ = [
    "Budget",
    "GroupBy",
    "Ledger",
    "UsageEvent",
    "UsageSum",
    "metered",
    "most_of_several",
    "most_read",
    "most_tokens",
    "usage_event",
]
