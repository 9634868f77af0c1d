"""Kafka topics: librdkafka's mock cluster on the loopback, a real protocol without a broker."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from ponant.kit.errors import Forbidden
from ponant.kit.network import Network
from ponant.live.relations.port import RowBatch
from ponant.live.sources.kafka import KIND, KafkaRows, KafkaSource
from ponant.live.sources.kafka_topic import KafkaConfig
from ponant.live.sources.kinds import Context
from ponant.live.sources.port import Batch, SourceFault
from ponant.live.sources.roots import Roots
from tests.live.sources.following import Shelf
from tests.patience import PATIENCE
from tests.servers import kafka

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def broker() -> Iterator[kafka.Kafka]:
    with kafka.running() as running:
        yield running


def _config(broker: kafka.Kafka, topic: str, **options: object) -> KafkaConfig:
    config = {"servers": broker.servers, "topic": broker.topic(topic), "security": "plaintext"}
    return msgspec.convert(config | {"text": ("body",)} | options, KafkaConfig)


def _source(broker: kafka.Kafka, topic: str, **options: object) -> KafkaSource:
    return KafkaSource(_config(broker, topic, **options))


async def test_a_message_is_a_document_and_one_without_a_value_deletes_it(
    broker: kafka.Kafka,
) -> None:
    shelf, source = Shelf(), _source(broker, "news", title="title", metadata=("rank",))
    broker.send("news", "a", {"title": "Ebb", "body": "The tide is out.", "rank": 3})
    broker.send("news", "b", {"body": "The harbour is closed."})
    broker.flush()
    await shelf.follow(
        source, until={"a": "# Ebb\n\nThe tide is out.", "b": "The harbour is closed."}
    )
    assert shelf.found["a"].name == "Ebb"
    assert shelf.found["a"].metadata == {"rank": 3}
    broker.send("news", "a", {"title": "Flow", "body": "The tide is in."})
    broker.send("news", "b", None)
    broker.flush()
    await shelf.follow(source, until={"a": "# Flow\n\nThe tide is in."})


async def test_it_goes_on_after_what_was_stored_and_reads_nothing_twice(
    broker: kafka.Kafka,
) -> None:
    shelf, expected = Shelf(), {}
    for number in range(60):
        expected[f"k{number % 20}"] = f"text {number}"
        broker.send("resumed", f"k{number % 20}", {"body": f"text {number}"})
    broker.flush()
    while shelf.texts != expected:  # every following dies after its third change
        before = len(shelf.reads)
        await shelf.follow(_source(broker, "resumed", batch=7), until=expected, stop=3)
        assert len(shelf.reads) - before <= 3
    assert len(shelf.reads) <= 60
    count = len(shelf.reads)
    broker.send("resumed", "k0", {"body": "new"})
    broker.flush()
    await shelf.follow(_source(broker, "resumed"), until=expected | {"k0": "new"})
    assert len(shelf.reads) == count + 1


async def test_a_message_without_a_key_is_named_with_its_mend(broker: kafka.Kafka) -> None:
    shelf = Shelf()
    broker.send("keyless", None, {"body": "nobody's", "id": 7}, partition=0)
    broker.send("keyless", "a", {"body": "a's", "id": 8}, partition=0)
    broker.flush()
    await shelf.follow(_source(broker, "keyless"), until={"a": "a's"})
    assert "1 messages without a key were left out, the last at keyless/0/0. Give" in shelf.remark
    named = Shelf()
    await named.follow(
        _source(broker, "keyless", key_field="id"), until={"7": "nobody's", "8": "a's"}
    )
    placed = Shelf()
    await placed.follow(
        _source(broker, "keyless", key="position"),
        until={"keyless/0/0": "nobody's", "keyless/0/1": "a's"},
    )


async def test_a_message_that_is_not_json_leaves_the_old_version(broker: kafka.Kafka) -> None:
    shelf = Shelf()
    broker.send("broken", "a", {"body": "good"})
    broker.flush()
    await shelf.follow(_source(broker, "broken"), until={"a": "good"})
    broker.send("broken", "a", b"{not json", partition=0)
    broker.send("broken", "b", {"body": "after"}, partition=0)
    broker.flush()
    await shelf.follow(_source(broker, "broken"), until={"a": "good", "b": "after"})
    assert "is not JSON" in shelf.faults["a"]


async def test_a_batch_is_fetched_only_when_the_last_is_stored(broker: kafka.Kafka) -> None:
    for number in range(30):
        broker.send("slow", f"k{number}", {"body": "text"})
    broker.flush()
    seen: list[Batch] = []
    async with (
        asyncio.timeout(PATIENCE),
        aclosing(_source(broker, "slow", batch=5).batches(None)) as it,
    ):
        async for batch in it:
            seen.append(batch)
            if sum(len(one.changes) for one in seen) == 30:
                break
    assert max(len(batch.changes) for batch in seen) <= 5
    assert seen[0].waiting == 30
    assert seen[-1].waiting == 0


async def test_one_that_is_not_there_says_what_to_do() -> None:
    config = KafkaConfig(servers="127.0.0.1:1", topic="t", security="plaintext")
    with pytest.raises(SourceFault, match=r"127\.0\.0\.1:1 cannot be read.*Check the address"):
        await Shelf().follow(KafkaSource(config, extra={"socket.timeout.ms": 300}))


async def test_a_topic_that_is_not_there_is_named(broker: kafka.Kafka) -> None:
    config = KafkaConfig(servers=broker.servers, topic="never", security="plaintext")
    with pytest.raises(SourceFault, match="no topic never"):
        await Shelf().follow(KafkaSource(config))


async def test_messages_that_the_broker_no_longer_has_are_told(broker: kafka.Kafka) -> None:
    broker.send("anew", "a", {"body": "text"}, partition=0)
    broker.flush()
    shelf = Shelf(cursor={"offsets": {"0": 1000}})
    await shelf.follow(_source(broker, "anew"), until={"a": "text"})
    assert "Partition 0 was made anew" in shelf.remark


async def test_messages_are_rows_too(broker: kafka.Kafka) -> None:
    config = _config(broker, "rows", key_field="id", time="sent")
    broker.send("rows", "1", {"id": 1, "sum": 10}, partition=0)
    broker.send("rows", "2", {"id": 2, "sum": 20}, partition=0)
    broker.send("rows", "1", {"id": 1, "sum": 11}, partition=0)
    broker.send("rows", "2", None, partition=0)
    broker.send("rows", "3", b"{", partition=0)
    broker.flush()
    source = KafkaRows(config)
    batch = await _batch_of(source, 1)
    assert source.key == ("id",)
    assert [(row["id"], row["sum"]) for row in batch.upserts] == [(1, 11)]
    assert isinstance(batch.upserts[0]["sent"], datetime)
    assert batch.deletes == [(2,)]
    assert "rows/0/4: the message is not JSON" in batch.remark
    placed = KafkaRows(_config(broker, "rows", key="position"))
    assert placed.key == ("partition", "offset")
    assert [row["offset"] for row in (await _batch_of(placed, 3)).upserts] == [0, 1, 2]


async def _batch_of(source: KafkaRows, rows: int) -> RowBatch:
    async with asyncio.timeout(PATIENCE), aclosing(source.batches(None)) as batches:
        async for batch in batches:
            if len(batch.upserts) == rows:
                return batch
    raise AssertionError


def _context(folder: Path, *brokers: str) -> Context:
    return Context(
        home=folder,
        roots=Roots(folder, ()),
        network=Network(),
        trusted=False,
        aside=asyncio.to_thread,
        brokers=frozenset(brokers),
    )


async def test_brokers_that_the_operator_named_may_be_read_over_http(
    broker: kafka.Kafka, tmp_path: Path
) -> None:
    config = {"servers": broker.servers, "topic": broker.topic("named"), "security": "plaintext"}
    context = _context(tmp_path, broker.servers.upper())
    checked = KIND.checked(config, {}, context)
    broker.send("named", "a", {"body": "The tide is out."})
    broker.flush()
    shelf = Shelf()
    await shelf.follow(KIND.open(checked, {}, context), until={"a": "body: The tide is out."})


@pytest.mark.parametrize(
    "servers",
    [
        "127.0.0.1:22",
        "{broker},127.0.0.1:22",
        "{broker},",
        "PLAINTEXT://{broker}",
        "{host}",
        "{broker}0",
        "{broker}@evil.example.org:9092",
    ],
)
async def test_other_brokers_are_for_the_command_line(
    broker: kafka.Kafka, tmp_path: Path, servers: str
) -> None:
    named = broker.servers
    asked = servers.format(broker=named, host=named.partition(":")[0])
    with pytest.raises(Forbidden, match="PONANT_LIVE_BROKERS"):
        KIND.checked({"servers": asked, "topic": "x"}, {}, _context(tmp_path, named))


async def test_a_broker_that_the_cluster_names_and_the_operator_did_not_is_asked_nothing(
    broker: kafka.Kafka, tmp_path: Path
) -> None:
    port = int(broker.servers.rpartition(":")[2])
    config = {"servers": f"localhost:{port}", "topic": broker.topic("far"), "security": "plaintext"}
    context = _context(tmp_path, f"localhost:{port}")  # the cluster calls itself 127.0.0.1
    source = KIND.open(KIND.checked(config, {}, context), {}, context)
    async with aclosing(source.batches(None)) as batches:
        with pytest.raises(SourceFault, match=f"names the broker 127.0.0.1:{port}"):
            await anext(batches)


async def test_an_operator_who_names_a_broker_no_more_ends_what_reads_from_it(
    broker: kafka.Kafka, tmp_path: Path
) -> None:
    config = {"servers": broker.servers, "topic": "x"}
    checked = KIND.checked(config, {}, _context(tmp_path, broker.servers))
    with pytest.raises(SourceFault, match="PONANT_LIVE_BROKERS"):
        KIND.open(checked, {}, _context(tmp_path))
    with pytest.raises(Forbidden, match="file in ca"):
        KIND.checked(config | {"ca": "/etc/passwd"}, {}, _context(tmp_path, broker.servers))
