"""Follows a Kafka topic: a message with a known key is an edit, one without a value a delete."""

from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from ponant.kit.errors import Forbidden
from ponant.live.reading.parsing import UnreadableDocument
from ponant.live.relations.port import Key, Row, RowBatch
from ponant.live.sources import records
from ponant.live.sources.kafka_topic import (
    Entries,
    Entry,
    KafkaConfig,
    Topic,
    broker_name,
    cursor_of,
)
from ponant.live.sources.kind import Context, Kind, Secrets, own_files_only, secret
from ponant.live.sources.port import Batch, Content, Cursor, Found, Gone, SourceFault

_DOCUMENTS, _ROWS = 500, 5000  # at once


class KafkaSource:
    """Documents of a topic.

    Args:
        extra: settings of librdkafka for tests.
        brokers: those that may be read from; None is all of them.
    """

    interval: float | None = None

    def __init__(
        self,
        config: KafkaConfig,
        password: str = "",
        extra: dict[str, Any] | None = None,
        brokers: frozenset[str] | None = None,
    ) -> None:
        self.topic = Topic(config, password, _DOCUMENTS, extra, brokers)
        self._config = config

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:
        """Yield messages as documents, from the cursor on."""
        async for entries in self.topic.entries(cursor):
            yield Batch(
                changes=list(self._changes(entries)),
                complete=entries.is_unused,
                cursor=entries.cursor,
                remark=entries.remark,
                empty=f"The topic {self._config.topic} holds no messages. Check its name.",
                waiting=entries.lag,
            )

    def _changes(self, entries: Entries) -> Iterator[Found | Gone]:
        """Each with the cursor that stands for it and all before it."""
        offsets = dict(entries.begin)
        for entry in entries.entries:
            offsets[entry.partition] = entry.offset + 1
            yield self._change(entry, cursor_of(offsets))

    def _change(self, entry: Entry, cursor: Cursor) -> Found | Gone:
        if entry.fault:
            return _unreadable(entry, cursor)
        if entry.record is None:
            return Gone(key=entry.key, cursor=cursor)
        return records.found(self._config, entry.key, entry.record, entry.place, cursor)


class KafkaRows:
    """Rows of a topic, for a table.

    A row is known by ``key_field``, by the column ``key`` (the message's own), or by the columns
    ``partition`` and ``offset`` where every message is a row of its own.
    """

    interval: float | None = None

    def __init__(
        self, config: KafkaConfig, password: str = "", extra: dict[str, Any] | None = None
    ) -> None:
        self.topic = Topic(config, password, _ROWS, extra)
        self.key = _columns(config)
        self._config = config

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[RowBatch]:
        """Yield messages as rows, from the cursor on."""
        unreadable, last = 0, ""
        async for entries in self.topic.entries(cursor):
            faults = [entry.fault for entry in entries.entries if entry.fault]
            unreadable, last = unreadable + len(faults), faults[-1] if faults else last
            remark = f"{unreadable} messages were left out, the last {last}." if last else ""
            yield RowBatch(
                upserts=[self._row(entry) for entry in entries.entries if entry.record is not None],
                deletes=[self._gone(entry) for entry in entries.entries if _is_delete(entry)],
                cursor=entries.cursor,
                remark=" ".join(part for part in (entries.remark, remark) if part),
            )

    def _row(self, entry: Entry) -> Row:
        own: dict[str, Any] = {}
        if self.key == ("key",):
            own["key"] = entry.key
        elif self._config.key == "position":
            own |= {"partition": entry.partition, "offset": entry.offset}
        if self._config.time:
            own[self._config.time] = datetime.fromtimestamp(entry.timestamp / 1000, UTC)
        return {**(entry.record or {}), **own}

    def _gone(self, entry: Entry) -> Key:
        if self.key == ("key",):
            return (entry.key,)
        try:  # a key that is a member of the value has that member's type
            return (msgspec.json.decode(entry.key),)
        except msgspec.DecodeError:
            return (entry.key,)


def _unreadable(entry: Entry, cursor: Cursor) -> Found:
    async def read() -> Content:
        raise UnreadableDocument(f"The message cannot be read: {entry.fault}.")

    return Found(
        key=entry.key,
        signature=entry.place,
        name=entry.key,
        read=read,
        media_type=records.MEDIA_TYPE,
        cursor=cursor,
    )


def _columns(config: KafkaConfig) -> tuple[str, ...]:
    if config.key == "position":
        return ("partition", "offset")
    return (config.key_field or "key",)


def _is_delete(entry: Entry) -> bool:
    return entry.record is None and not entry.fault


def _checked(config: KafkaConfig, context: Context) -> KafkaConfig:
    """Refuse brokers that the operator has not named, who answers for where those lead."""
    own_files_only(context, ca=config.ca)
    if context.network.everything:
        return config
    if config.user and config.mechanism == "PLAIN" and config.security == "plaintext":
        raise Forbidden(
            "Without encryption PLAIN would send the password over the network for all to read. "
            "Set security to tls or mechanism to SCRAM-SHA-512, or ask the operator to run: "
            "ponant live add"
        )
    for server in config.servers.split(","):
        if broker_name(server) not in _named(context):
            raise Forbidden(
                f"{server.strip()} is no Kafka broker that sources may read from, since brokers "
                "name further addresses to connect to. Ask the operator to name it in "
                "PONANT_LIVE_BROKERS, or to run: ponant live add"
            )
    return config


def _open(config: KafkaConfig, secrets: Secrets, context: Context) -> KafkaSource:
    password = secret(config, secrets, "password") or ""
    if context.network.everything:
        return KafkaSource(config, password)
    try:
        _checked(config, context)  # the operator may have named others since
    except Forbidden as e:
        raise SourceFault(e.message) from e
    return KafkaSource(config, password, brokers=_named(context))


def _named(context: Context) -> frozenset[str]:
    return frozenset(broker_name(one) for one in context.brokers)


KIND = Kind(
    name="kafka",
    config=KafkaConfig,
    open=_open,
    check=_checked,
    reaches="network",
    hint=(
        '{"servers": "host:9092", "topic": "…"}, where there is a user with the secret password: '
        "messages of a Kafka topic"
    ),
    secrets=("password",),
    signs_in_as=("user", "mechanism"),
    title=lambda config: f"{config.topic} at {config.servers}",
)
