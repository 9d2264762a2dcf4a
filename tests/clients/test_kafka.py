"""Records in a real broker: keyed by order, in sequence, each once; and honest failures."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from gateway.clients.kafka import Access, KafkaSender
from gateway.domain.handoff import SendResult
from ops.harness.ports import free_port
from tests.support.kafka_broker import Broker, NotHere, broker_in
from tests.support.messages import outbound
from tests.support.patience import HANG_S, until

_DELIVERED = SendResult("delivered")


@pytest.fixture(scope="module")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    try:
        with broker_in(tmp_path_factory.mktemp("kafka")) as broker:
            yield broker
    except NotHere as exc:
        pytest.skip(str(exc))


@pytest.fixture
async def topic(kafka_broker: Broker) -> str:
    name = f"orders-{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_broker.server)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=3, replication_factor=1)])
    await admin.close()
    return name


@pytest.fixture
async def sender(kafka_broker: Broker, topic: str) -> AsyncIterator[KafkaSender]:
    made = of(kafka_broker.server, topic)
    yield made
    await made.close()


def of(server: str, topic: str, *, call_s: float = HANG_S) -> KafkaSender:
    return KafkaSender(servers=[server], topic=topic, call_s=call_s, access=Access())


async def records(broker: Broker, topic: str) -> list[Any]:
    """Everything in the topic, by an independent consumer."""
    consumer = aiokafka.AIOKafkaConsumer(
        topic, bootstrap_servers=broker.server, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions = [aiokafka.TopicPartition(topic, n) for n in range(3)]
        ends = await consumer.end_offsets(partitions)
        found: list[Any] = []
        while len(found) < sum(ends.values()):
            for batch in (await consumer.getmany(timeout_ms=100)).values():
                found += batch
        return found
    finally:
        await consumer.stop()


async def test_what_a_record_holds(kafka_broker: Broker, topic: str, sender: KafkaSender) -> None:
    message = outbound(body='{"name":"早"}'.encode(), version=7)
    assert await sender.send(message) == _DELIVERED
    (record,) = await records(kafka_broker, topic)
    assert record.value == message.body and record.key == str(message.order_id).encode()
    assert dict(record.headers) == {
        "event_id": str(message.event_id).encode(),
        "topic": b"order.paid",
        "order_no": b"W-1",
        "version": b"7",
    }
    assert record.timestamp == int(message.occurred_at.timestamp() * 1000)


async def test_records_of_an_order_stay_in_sequence(
    kafka_broker: Broker, topic: str, sender: KafkaSender
) -> None:
    orders = [uuid4() for _ in range(20)]
    for version in range(10):
        sending = [
            sender.send(outbound(order_id=order, version=version, body=b'{"v":%d}' % version))
            for order in orders
        ]
        assert await asyncio.gather(*sending) == [_DELIVERED] * 20
    versions: dict[bytes, list[int]] = {}
    partitions: dict[bytes, set[int]] = {}
    for record in await records(kafka_broker, topic):
        versions.setdefault(record.key, []).append(json.loads(record.value)["v"])
        partitions.setdefault(record.key, set()).add(record.partition)
    assert len(versions) == 20
    assert all(each == list(range(10)) for each in versions.values())
    assert all(len(each) == 1 for each in partitions.values())


async def test_a_record_that_is_too_large_is_refused_alone(
    kafka_broker: Broker, topic: str, sender: KafkaSender
) -> None:
    large = outbound(body=b'{"x":"' + b"y" * 2_000_000 + b'"}')
    small = outbound()
    results = await asyncio.gather(sender.send(large), sender.send(small))
    assert results[0].outcome == "failed" and "larger than" in results[0].reason
    assert results[1] == _DELIVERED
    assert len(await records(kafka_broker, topic)) == 1


async def test_a_topic_that_is_not_there(kafka_broker: Broker) -> None:
    """The client waits for it to be made, as long as it may."""
    made = of(kafka_broker.server, "nowhere", call_s=1.0)
    result = await made.send(outbound())
    assert result == SendResult("failed", reason="the brokers did not acknowledge in time")
    await made.close()


@pytest.mark.servers
async def test_no_broker() -> None:
    made = of(f"127.0.0.1:{free_port()}", "orders", call_s=1.0)
    for _ in range(2):
        result = await made.send(outbound())
        assert result.outcome == "failed" and "no broker can be reached" in result.reason
    await made.close()


async def test_a_frozen_broker_fails_within_the_deadline_and_recovers(
    kafka_broker: Broker, topic: str
) -> None:
    """What was given up is not sent behind our back later than its repeats."""
    made = of(kafka_broker.server, topic, call_s=1.0)
    await until(lambda: is_delivered(made))
    with kafka_broker.frozen():
        results = await asyncio.gather(*[made.send(outbound()) for _ in range(5)])
        assert {result.outcome for result in results} == {"failed"}
        assert {result.reason for result in results} == {"the brokers did not acknowledge in time"}
    await until(lambda: is_delivered(made))
    async with asyncio.timeout(HANG_S):
        await made.close()
    # The first, the last, and those of the frozen broker once at most.
    assert 2 <= len(await records(kafka_broker, topic)) <= 7 + 5


async def is_delivered(made: KafkaSender) -> bool:
    return await made.send(outbound()) == _DELIVERED


async def test_a_killed_broker_fails_and_recovers(kafka_broker: Broker, topic: str) -> None:
    made = of(kafka_broker.server, topic, call_s=2.0)
    await until(lambda: is_delivered(made))
    kafka_broker.kill()
    assert (await made.send(outbound())).outcome == "failed"
    kafka_broker.start()
    await until(lambda: is_delivered(made))
    await made.close()
    await until(lambda: len(asyncio.all_tasks()) == 1)
