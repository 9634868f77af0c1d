"""Clicks from Kafka, counted by page in windows of ten seconds that late clicks correct."""

import os

from ponant import live

clicks = live.kafka(
    "clicks",
    servers=os.environ["KAFKA_SERVERS"],
    security=os.environ.get("KAFKA_SECURITY", "tls"),
    key_field="id",
)

live.table("clicks", clicks)
live.window(
    "clicks_per_10s",
    over="clicks",
    time="clicked_at",
    every="10s",
    lateness="30s",
    by="page",
    columns={"clicks": "count(*)", "people": "count(DISTINCT person)"},
)
live.query(
    "busy_pages",
    "SELECT page, window_start, clicks FROM clicks_per_10s WHERE clicks >= 3",
    key=("page", "window_start"),
)
