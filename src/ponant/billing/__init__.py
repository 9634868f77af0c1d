"""The ledger of what every generation used."""

from ponant.billing.ledger import Ledger
from ponant.billing.meter import metered
from ponant.billing.schemas import GroupBy, UsageEvent, UsageSum, usage_event

__all__ = ["GroupBy", "Ledger", "UsageEvent", "UsageSum", "metered", "usage_event"]
