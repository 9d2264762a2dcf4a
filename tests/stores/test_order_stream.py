"""Events in a stream of a real Valkey: all of them, in order, few round trips, honest failures."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.domain.handoff import SendResult
from gateway.stores.redis.order_stream import OrderStream
from tests.support.cable import cable_to
from tests.support.messages import outbound
from tests.support.patience import HANG_S, until
from tests.support.valkey_cluster import Server

_STREAM = "orders"
_DELIVERED = SendResult("delivered")


@pytest.fixture
def valkey(module_valkey: Server) -> Server:
    module_valkey.client.flushall()
    return module_valkey


def of(url: str, *, length_max: int = 0, call_s: float = HANG_S) -> OrderStream:
    return OrderStream(url=url, stream=_STREAM, length_max=length_max, call_s=call_s)


@pytest.fixture
async def stream(valkey: Server) -> AsyncIterator[OrderStream]:
    made = of(valkey.url)
    yield made
    await made.close()


async def test_what_an_entry_holds(valkey: Server, stream: OrderStream) -> None:
    message = outbound(body='{"name":"早"}'.encode())
    assert await stream.send(message) == _DELIVERED
    ((_, fields),) = valkey.client.xrange(_STREAM)
    assert fields == {
        b"event_id": str(message.event_id).encode(),
        b"topic": b"order.paid",
        b"order_id": str(message.order_id).encode(),
        b"order_no": b"W-1",
        b"version": b"3",
        b"body": message.body,
    }


async def test_what_waits_shares_a_round_trip_and_keeps_its_sequence(
    valkey: Server, stream: OrderStream
) -> None:
    """The first goes alone; all others wait for it and go together."""
    await stream.send(outbound(version=0))
    async with cable_to(valkey.url) as cable:
        slow = of(cable.url)
        await slow.send(outbound(version=0))
        before = valkey.client.info("stats")["total_reads_processed"]
        results = await asyncio.gather(*[slow.send(outbound(version=n)) for n in range(1, 257)])
        after = valkey.client.info("stats")["total_reads_processed"]
        await slow.close()
    assert results == [_DELIVERED] * 256
    versions = [int(fields[b"version"]) for _, fields in valkey.client.xrange(_STREAM)]
    assert versions == [0, 0, *range(1, 257)]
    # One for the first, and a few for the rest, which a socket may cut in pieces.
    assert after - before < 40


async def test_nothing_is_dropped_unless_asked(valkey: Server) -> None:
    for length_max, at_least, at_most in ((0, 1000, 1000), (100, 100, 300)):
        valkey.client.flushall()
        made = of(valkey.url, length_max=length_max)
        await asyncio.gather(*[made.send(outbound()) for _ in range(1000)])
        await made.close()
        assert at_least <= valkey.client.xlen(_STREAM) <= at_most


async def test_what_the_server_refuses_is_refused_one_by_one(
    valkey: Server, stream: OrderStream
) -> None:
    valkey.client.set(_STREAM, "a text")
    results = await asyncio.gather(*[stream.send(outbound()) for _ in range(3)])
    assert (
        results == [SendResult("failed", reason="the key of the stream holds something else")] * 3
    )
    valkey.client.delete(_STREAM)
    assert await stream.send(outbound()) == _DELIVERED


async def test_a_server_that_is_full_or_wants_a_password(valkey: Server) -> None:
    with valkey.set_to(maxmemory="1"):
        full = of(valkey.url)
        assert (await full.send(outbound())).reason == "the server's memory is full"
        await full.close()
    with valkey.set_to(requirepass="secret"):
        stranger = of(valkey.url)
        assert "password" in (await stranger.send(outbound())).reason
        await stranger.close()
    assert valkey.client.xlen(_STREAM) == 0


async def test_a_frozen_server_fails_within_the_deadline_and_recovers(valkey: Server) -> None:
    made = of(valkey.url, call_s=0.3)
    assert await made.send(outbound()) == _DELIVERED
    with valkey.frozen():
        results = await asyncio.gather(*[made.send(outbound()) for _ in range(10)])
        assert {result.outcome for result in results} == {"failed"}
        assert {result.reason for result in results} == {"the server did not answer in time"}

    async def is_back() -> bool:
        return await made.send(outbound()) == _DELIVERED

    await until(is_back)
    await made.close()


async def test_a_lost_answer_is_a_failure_and_its_repeat_has_the_same_id(valkey: Server) -> None:
    """At least once: the consumer knows the second by its event id."""
    message = outbound()
    async with cable_to(valkey.url) as cable:
        made = of(cable.url, call_s=0.5)
        assert await made.send(outbound()) == _DELIVERED
        cable.lose_answers()
        assert (await made.send(message)).outcome == "failed"
        await until(lambda: valkey.client.xlen(_STREAM) == 2)
        cable.mend()
        assert await made.send(message) == _DELIVERED
        await made.close()
    ids = [fields[b"event_id"] for _, fields in valkey.client.xrange(_STREAM)]
    assert ids[1:] == [str(message.event_id).encode()] * 2


async def test_nobody_there() -> None:
    made = of("redis://127.0.0.1:1/0")
    assert "cannot be reached" in (await made.send(outbound())).reason
    await made.close()


async def test_closing_ends_those_that_wait(valkey: Server) -> None:
    made = of(valkey.url)
    await made.send(outbound())
    with valkey.frozen():
        waiting = [asyncio.create_task(made.send(outbound())) for _ in range(300)]
        await asyncio.sleep(0)
        await made.close()
        async with asyncio.timeout(HANG_S):
            results = await asyncio.gather(*waiting)
    assert {result.reason for result in results} == {"the worker is closing"}


async def test_on_a_cluster_the_node_with_the_stream_gets_it(module_cluster: list[Server]) -> None:
    for node in module_cluster:
        node.client.flushall()
    made = of(module_cluster[0].url)
    assert await asyncio.gather(*[made.send(outbound()) for _ in range(5)]) == [_DELIVERED] * 5
    await made.close()
    assert sorted(node.client.dbsize() for node in module_cluster) == [0, 0, 1]
