"""Kafka as librdkafka brings it along: its mock cluster speaks the protocol on a real port."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Producer


class Kafka:
    """A cluster of one broker whose topics come into being when they are asked for.

    Attributes:
        servers: where clients connect.
    """

    def __init__(self) -> None:
        self._producer = Producer({"test.mock.num.brokers": 1, "linger.ms": 1, "log_level": 0})
        brokers = self._producer.list_topics(timeout=10).brokers.values()
        self.servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def topic(self, name: str) -> str:
        """Have a topic with four partitions."""
        self._producer.list_topics(name, timeout=10)
        return name

    def send(self, topic: str, key: str | None, value: Any, partition: int = -1) -> None:
        """Write one message, as JSON; None for a value deletes its key."""
        data = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        keyed = None if key is None else key.encode()
        self._producer.produce(topic, data, keyed, partition)

    def flush(self) -> None:
        """Have what was sent at the broker."""
        assert self._producer.flush(10) == 0


@contextmanager
def running() -> Iterator[Kafka]:
    """A cluster that ends with its only client."""
    kafka = Kafka()
    yield kafka
    kafka.flush()
