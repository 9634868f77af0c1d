"""Kafka as librdkafka brings it along: its mock cluster speaks the protocol on a real port."""

import ctypes
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import Producer

from tests.patience import PATIENCE

_BROKER = 1
_PRODUCER = 0  # librdkafka's number for the type of client


class Kafka:
    """A cluster of one broker whose topics come into being when they are asked for.

    Attributes:
        servers: where clients connect.
    """

    def __init__(self) -> None:
        self._library = _library()
        reason = ctypes.create_string_buffer(200)
        settings = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(settings, b"log_level", b"0", reason, len(reason))
        self._client = self._library.rd_kafka_new(_PRODUCER, settings, reason, len(reason))
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        self.servers = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        self._producer = Producer(
            {"bootstrap.servers": self.servers, "linger.ms": 1, "log_level": 0}
        )

    def topic(self, name: str) -> str:
        """Have a topic with four partitions."""
        self._producer.list_topics(name, timeout=PATIENCE)
        return name

    def send(self, topic: str, key: str | None, value: Any, partition: int = -1) -> None:
        """Write one message, as JSON; None for a value deletes its key."""
        data = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        keyed = None if key is None else key.encode()
        self._producer.produce(topic, data, keyed, partition)

    def flush(self) -> None:
        """Have what was sent at the broker."""
        assert self._producer.flush(10) == 0

    def stop(self) -> None:
        """Have the broker refuse connections; what it holds is kept."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, _BROKER)

    def start(self) -> None:
        """Have it answer again."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, _BROKER)

    def end(self) -> None:
        """End it for good."""
        del self._producer
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)


@contextmanager
def running() -> Iterator[Kafka]:
    """A cluster until the end of the block."""
    kafka = Kafka()
    try:
        yield kafka
    finally:
        kafka.end()


def _library() -> Any:
    """The library that confluent-kafka brings, whose mock cluster Python does not show whole."""
    folder = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
    library = ctypes.CDLL(str(next(folder.glob("librdkafka*"))))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    size = ctypes.c_size_t
    for name, result, arguments in (
        ("conf_new", pointer, []),
        ("conf_set", number, [pointer, text, text, text, size]),
        ("new", pointer, [number, pointer, text, size]),
        ("destroy", None, [pointer]),
        ("mock_cluster_new", pointer, [pointer, number]),
        ("mock_cluster_bootstraps", text, [pointer]),
        ("mock_cluster_destroy", None, [pointer]),
        ("mock_broker_set_down", number, [pointer, ctypes.c_int32]),
        ("mock_broker_set_up", number, [pointer, ctypes.c_int32]),
    ):
        function = getattr(library, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, arguments
    return library
