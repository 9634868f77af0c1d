"""Reads a Kafka topic: messages in their order, each with the offsets to go on from.

Every partition is assigned to us, no group is joined and nothing is committed to the broker: the
offsets live in the cursor, which is stored with the change they stand for. A message is asked for
only when those before it are stored; what the client fetches ahead is bounded.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ponant.live.sources import records
from ponant.live.sources.kafka_faults import Noted
from ponant.live.sources.port import Cursor, SourceFault
from ponant.live.sources.thread import OneThread

_ANSWER_SECONDS = 10.0
_SLICE_SECONDS = 0.5
_WAIT_SECONDS = 0.25  # for a first message; a close waits as long
_LOOK_SECONDS = 30.0  # between two looks for new partitions
_AHEAD_KIB = 16 * 1024  # fetched ahead at most
_LONGEST_KEY = 512
_PORT = 9092  # librdkafka's, where none is said

T = TypeVar("T")


class KafkaConfig(records.Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A topic.

    Attributes:
        servers: brokers to ask first, ``host:port`` with commas between.
        format: how values are written; of JSON the objects' members are fields, anything else, and
            text, is the field ``value``.
        key: what tells messages apart: their key, or their place, so that none replaces another.
        key_field: a member of the value that is the key instead.
        time: the column that holds when a message was sent, in tables.
        start: where to begin at the first time.
        security: whether the connection is encrypted.
        mechanism: how ``user`` signs in, with the secret ``password``; none without a user.
        ca: a file of certificates to trust instead of the system's.
        batch: messages taken at once at most; None is 500 as documents and 5,000 as rows.
    """

    servers: str
    topic: str
    format: Literal["json", "text"] = "json"
    key: Literal["message", "position"] = "message"
    key_field: str = ""
    time: str = ""
    start: Literal["earliest", "latest"] = "earliest"
    security: Literal["tls", "plaintext"] = "tls"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    user: str = ""
    ca: str = ""
    batch: int | None = None
    password_env: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A message: its key, its value (None deletes) and where it stands."""

    key: str
    record: dict[str, Any] | None
    partition: int
    offset: int
    timestamp: int  # milliseconds since 1970
    place: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Entries:
    """Messages in their order, the last of each key alone.

    Attributes:
        begin: the offsets before them, by partition.
        cursor: where the topic goes on after all of them.
    """

    entries: list[Entry]
    begin: dict[int, int]
    cursor: Cursor
    remark: str = ""
    lag: int = 0  # messages that are behind these
    is_unused: bool = False  # no message was ever written


@dataclass(slots=True)
class _Position:
    """The next offset of each partition, and what was left out on the way."""

    offsets: dict[int, int]
    keyless: int = 0
    lost: str = ""
    last_keyless: str = ""
    ends: dict[int, int] = field(default_factory=dict)

    def cursor(self) -> Cursor:
        return cursor_of(self.offsets)


def cursor_of(offsets: Mapping[int, int]) -> Cursor:
    """Where a topic goes on, by each partition's next offset."""
    return {"offsets": {str(number): offset for number, offset in offsets.items()}}


def broker_name(server: str) -> str:
    """A broker's host and port as they are compared."""
    host, colon, port = server.strip().casefold().rpartition(":")
    if not colon or not port.isdigit():
        return f"{server.strip().casefold()}:{_PORT}"
    return f"{host}:{int(port)}"


class Topic:
    """The messages of a topic, for documents and for rows alike."""

    def __init__(
        self,
        config: KafkaConfig,
        password: str,
        batch: int,
        extra: dict[str, Any] | None = None,
        brokers: frozenset[str] | None = None,
    ) -> None:
        self._config = config
        self._brokers = brokers
        self._batch = config.batch or batch
        self._settings = _settings(config, password) | (extra or {})
        self._noted = Noted()

    async def entries(self, cursor: Cursor | None) -> AsyncGenerator[Entries]:
        """Yield messages from the cursor on; a yield without any tells a remark or a cursor.

        Raises:
            SourceFault: the brokers cannot be reached, or refuse.
        """
        async with self._consumer() as (consumer, call):
            position = _Position({int(k): v for k, v in (cursor or {}).get("offsets", {}).items()})
            await call(partial(self._assign, first=cursor is None), consumer, position)
            yield self._entries(consumer, [], dict(position.offsets), position)
            looked, told = time.monotonic(), ""
            while True:
                if time.monotonic() - looked > _LOOK_SECONDS:
                    looked = time.monotonic()
                    await call(partial(self._assign, first=False), consumer, position)
                messages, begin = await call(self._fetch, consumer), dict(position.offsets)
                found = [e for m in messages if (e := self._entry(consumer, m, position))]
                entries = self._entries(consumer, _last_of_each(found), begin, position)
                if messages or entries.remark != told:
                    told = entries.remark
                    yield entries

    def _entries(
        self, consumer: Consumer, entries: list[Entry], begin: dict[int, int], position: _Position
    ) -> Entries:
        lag = self._lag(consumer, position)
        is_unused = not any(position.ends.values())
        return Entries(entries, begin, position.cursor(), _remark(position), lag, is_unused)

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[tuple[Consumer, Callable[..., Any]]]:
        """A consumer and a way to call it: in its own thread, one call after the other."""
        self._noted = Noted()
        thread = OneThread("kafka")

        async def call(function: Callable[..., T], *arguments: Any) -> T:
            try:
                return await thread.call(function, *arguments)
            except KafkaException as e:
                raise self._noted.fault(e.args[0], self._config) from e

        try:
            consumer = Consumer(self._settings | {"error_cb": self._noted.note})
        except KafkaException as e:
            raise self._noted.fault(e.args[0], self._config) from e
        try:
            yield consumer, call
        finally:
            thread.end(consumer.close)

    def _assign(self, consumer: Consumer, position: _Position, *, first: bool) -> None:
        """Take every partition, from where the cursor says or else from its end or begin."""
        name = self._config.topic
        topic = self._described(consumer)
        if set(topic.partitions) == set(position.ends):
            return
        for number in topic.partitions:
            begin, end = consumer.get_watermark_offsets(
                TopicPartition(name, number), timeout=_ANSWER_SECONDS
            )
            position.ends[number] = end
            _settle(position, number, begin, end, late=first and self._config.start == "latest")
        consumer.assign([TopicPartition(name, n, position.offsets[n]) for n in topic.partitions])

    def _described(self, consumer: Consumer) -> Any:
        """What the brokers say of the topic; asked in slices, since a refusal shows between."""
        name, last = self._config.topic, time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                cluster = consumer.list_topics(name, timeout=_SLICE_SECONDS)
                topic = cluster.topics[name]
            except KafkaException:
                consumer.poll(0)
                if self._noted.down is not None or time.monotonic() > last:
                    raise
                continue
            self._require_named(cluster)
            if topic.error is not None:
                raise KafkaException(topic.error)
            return topic

    def _require_named(self, cluster: Any) -> None:
        """Ask no partition's leader before each broker is one that may be asked."""
        if self._brokers is None:
            return
        for broker in cluster.brokers.values():
            named = broker_name(f"{broker.host}:{broker.port}")
            if named not in self._brokers:
                raise SourceFault(
                    f"The cluster names the broker {named}, which sources may not read from. Ask "
                    "the operator to name it in PONANT_LIVE_BROKERS too."
                )

    def _fetch(self, consumer: Consumer) -> list[Message]:
        """Wait for a message, then take what is there already."""
        first = consumer.poll(_WAIT_SECONDS)
        if first is None:
            if self._noted.down is not None:
                raise KafkaException(self._noted.down)
            return []
        return [first, *consumer.consume(self._batch - 1, 0)]

    def _entry(self, consumer: Consumer, message: Message, position: _Position) -> Entry | None:
        error = message.error()
        if error is not None:
            self._recover(consumer, message, error, position)
            return None
        number, offset = _place(message)
        if offset < position.offsets.get(number, 0):
            return None
        position.offsets[number] = offset + 1
        place = f"{self._config.topic}/{number}/{offset}"
        record, fault = _decoded(message.value(), self._config.format)
        key = self._key(message, record, place)
        if not key:
            position.keyless += 1
            position.last_keyless = place
            return None
        fault = f"{place}: {fault}" if fault else ""
        sent = message.timestamp()[1]
        return Entry(key, record, number, offset, sent, place, fault)

    def _key(self, message: Message, record: dict[str, Any] | None, place: str) -> str:
        if self._config.key == "position":
            return place
        if self._config.key_field and record is not None:
            return records.written(record.get(self._config.key_field))[:_LONGEST_KEY]
        return (message.key() or b"").decode(errors="backslashreplace")[:_LONGEST_KEY]

    def _recover(
        self, consumer: Consumer, message: Message, error: KafkaError, position: _Position
    ) -> None:
        """Go on at the first message that is left where the wanted one is deleted."""
        if error.name() != "_AUTO_OFFSET_RESET":
            raise self._noted.fault(error, self._config)
        number, _ = _place(message)
        begin, end = consumer.get_watermark_offsets(
            TopicPartition(self._config.topic, number), timeout=_ANSWER_SECONDS
        )
        _settle(position, number, begin, end, late=False)
        consumer.seek(TopicPartition(self._config.topic, number, position.offsets[number]))

    def _lag(self, consumer: Consumer, position: _Position) -> int:
        for number in position.ends:
            place = TopicPartition(self._config.topic, number)
            known = consumer.get_watermark_offsets(place, cached=True)
            if known is not None:
                position.ends[number] = max(position.ends[number], known[1])
        return sum(
            max(0, end - position.offsets.get(number, 0)) for number, end in position.ends.items()
        )


def _settings(config: KafkaConfig, password: str) -> dict[str, Any]:
    encrypted = config.security == "tls"
    settings: dict[str, Any] = {
        "bootstrap.servers": config.servers,
        "group.id": "ponant",  # a name that librdkafka asks for; no group is joined
        "client.id": "ponant",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        "queued.max.messages.kbytes": _AHEAD_KIB,
        "max.poll.interval.ms": 86_400_000,
        # A broker that does not wake waiting requests, as librdkafka's own, answers this late.
        "fetch.wait.max.ms": 20,
        "log_level": 0,
    }
    if config.user:
        settings |= {
            "security.protocol": "sasl_ssl" if encrypted else "sasl_plaintext",
            "sasl.mechanism": config.mechanism,
            "sasl.username": config.user,
            "sasl.password": password,
        }
    else:
        settings["security.protocol"] = "ssl" if encrypted else "plaintext"
    if config.ca:
        settings["ssl.ca.location"] = config.ca
    return settings


def _settle(position: _Position, number: int, begin: int, end: int, *, late: bool) -> None:
    """Where to read a partition: as the cursor says, as long as the broker still has that."""
    wanted = position.offsets.setdefault(number, end if late else begin)
    if wanted < begin:
        position.lost = (
            f"Kafka deleted {begin - wanted:,} messages of partition {number} before they were "
            "read. Keep them longer there."
        )
    elif wanted > end:
        position.lost = f"Partition {number} was made anew, and is read from its begin."
    if not begin <= wanted <= end:
        position.offsets[number] = begin


def _place(message: Message) -> tuple[int, int]:
    """Its partition and offset, which only messages that are to be sent can lack."""
    return message.partition() or 0, message.offset() or 0


def _remark(position: _Position) -> str:
    parts = [position.lost] if position.lost else []
    if position.keyless:
        parts.append(
            f"{position.keyless} messages without a key were left out, the last at "
            f"{position.last_keyless}. Give messages a key, name a member of their value in "
            "key_field, or set key to position."
        )
    return " ".join(parts)


def _decoded(value: bytes | None, form: str) -> tuple[dict[str, Any] | None, str]:
    """A message's value as fields, or why it cannot be read."""
    if value is None:
        return None, ""
    if form == "text":
        return {"value": value.decode(errors="replace")}, ""
    try:
        decoded = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        return None, f"the message is not JSON ({e})"
    return (decoded if isinstance(decoded, dict) else {"value": decoded}), ""


def _last_of_each(entries: list[Entry]) -> list[Entry]:
    """What later entries of the same key replace is not worth a document."""
    last = {entry.key: entry for entry in entries}
    return [entry for entry in entries if last[entry.key] is entry]
