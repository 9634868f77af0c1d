"""Pathway under measurement with rows: a join with a group-by, and tumbling windows over a topic.

    python -m bench.live_peers.pathway_rows_child '{"what": "join", "rows": 1000000, …}'

It tells what it knows as JSON lines: ``{"at": seconds, "total": …}`` whenever its result changed.
The join reads ``{"row": …, "amount": …}`` from standard input, each a row that changed.
"""

import json
import sys
import threading
import time
from typing import Any

import pathway as pw


class Sale(pw.Schema):
    id: int = pw.column_definition(primary_key=True)
    customer: int
    amount: int


class Customer(pw.Schema):
    customer: int = pw.column_definition(primary_key=True)
    region: int


class Click(pw.Schema):
    number: int
    at: float


class Sales(pw.io.python.ConnectorSubject):
    """All rows at once, then those that change, as standard input says."""

    def __init__(self, rows: int, customers: int) -> None:
        super().__init__(session_type="upsert")
        self._rows, self._customers = rows, customers

    def run(self) -> None:
        for row in range(self._rows):
            self.next(id=row, customer=row % self._customers, amount=row % 97)
        self.commit()
        for line in sys.stdin:
            changed = json.loads(line)
            row = changed["row"]
            self.next(id=row, customer=row % self._customers, amount=changed["amount"])
            self.commit()


class Customers(pw.io.python.ConnectorSubject):
    def __init__(self, customers: int, regions: int) -> None:
        super().__init__()
        self._customers, self._regions = customers, regions

    def run(self) -> None:
        for customer in range(self._customers):
            self.next(customer=customer, region=customer % self._regions)


class Totals:
    """Sums a result's rows by key, and tells the sum after every commit."""

    def __init__(self) -> None:
        self._known: dict[Any, int] = {}
        self._lock = threading.Lock()

    def change(self, key: Any, row: dict[str, Any], time: int, is_addition: bool) -> None:  # noqa: ARG002, FBT001
        with self._lock:
            if is_addition:
                self._known[key] = row["total"]
            elif self._known.get(key) == row["total"]:
                del self._known[key]

    def tell(self, time_: int) -> None:  # noqa: ARG002 - Pathway's own time
        with self._lock:
            told = {"at": time.time(), "total": sum(self._known.values())}
        print(json.dumps(told), flush=True)


def main(options: dict[str, Any]) -> None:
    result = _join(options) if options["what"] == "join" else _window(options)
    totals = Totals()
    pw.io.subscribe(result, on_change=totals.change, on_time_end=totals.tell)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


def _join(options: dict[str, Any]) -> pw.Table:
    customers, regions = options["customers"], options["regions"]
    sales = pw.io.python.read(
        Sales(options["rows"], customers), schema=Sale, autocommit_duration_ms=50
    )
    known = pw.io.python.read(Customers(customers, regions), schema=Customer)
    joined = sales.join(known, sales.customer == known.customer)
    rows = joined.select(known.region, sales.amount)
    return rows.groupby(rows.region).reduce(rows.region, total=pw.reducers.sum(rows.amount))


def _window(options: dict[str, Any]) -> pw.Table:
    settings = {
        "bootstrap.servers": options["servers"],
        "group.id": "bench-pathway",
        "auto.offset.reset": "earliest",
        "security.protocol": "plaintext",
    }
    clicks = pw.io.kafka.read(
        settings, options["topic"], schema=Click, format="json", autocommit_duration_ms=50
    )
    window = pw.temporal.tumbling(duration=10.0)
    return clicks.windowby(clicks.at, window=window).reduce(
        start=pw.this._pw_window_start,  # noqa: SLF001 - Pathway's own name of it
        total=pw.reducers.count(),
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
