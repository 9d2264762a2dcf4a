"""What was journaled while Postgres was away reaches the ledger, once, whatever dies meanwhile."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
import redis

from gateway.domain import events, orders
from gateway.domain.channels import ChannelPolicy
from gateway.domain.errors import Unavailable
from gateway.domain.following import Done, FollowUp
from gateway.domain.journaling import Entry
from gateway.domain.placing import Placed
from gateway.intake import shop_message
from gateway.runtime.settings import Channel, Settings
from gateway.stores.postgres.messages import Messages
from gateway.stores.postgres.order_reader import OrderReader
from gateway.stores.postgres.placements import Placements
from tests.domain.support import NOW, paid
from tests.stores.support import (
    Database,
    counts,
    order,
    placement,
    rows,
    submit,
    tell,
    with_,
)
from tests.support.cable import cable_to
from tests.support.patience import HANG_S
from tests.workers.handoff import Receiver
from tests.workers.outage import Outage, ids, numbered, outage_of
from workers import drainer
from workers.reload import WorkerConfiguration
from workers.targets import Targets


@pytest.fixture
async def outage(settings: Settings) -> AsyncIterator[Outage]:
    async with outage_of(settings) as started:
        yield started


@pytest.mark.parametrize("fault", ["cut", "silence", "lose_answers"])
async def test_orders_and_payments_of_an_outage_are_drained_once(
    outage: Outage, ledger: Database, fault: str
) -> None:
    gateway = outage.gateway
    await submit(gateway, numbered(0))
    getattr(outage.cable, fault)()
    placed = await asyncio.gather(*[submit(gateway, numbered(n)) for n in range(1, 31)])
    outcomes = await asyncio.gather(
        *[tell(gateway, paid(order_no=f"W-{n}", transaction_id=f"T-{n}")) for n in range(1, 31)]
    )
    assert all(each.is_journaled for each in placed)
    assert set(outcomes) == {Done("journaled")}
    await outage.mend()
    await outage.drained()
    for n, each in enumerate(placed, start=1):
        stored = await order(ledger, f"W-{n}")
        assert (stored["id"], stored["status"]) == (each.id, "paid")
    assert (await counts(ledger))["payments"] == 30
    assert (await counts(ledger))["parked"] == 0


async def test_the_stock_check_outlives_the_journal(outage: Outage, ledger: Database) -> None:
    gateway = outage.gateway
    outage.cable.cut()
    marked = msgspec.structs.replace(placement(gateway, numbered(1)), stock="unchecked")
    assert (await gateway.intake.accept_order(marked)).is_journaled
    await outage.mend()
    await outage.drained()
    assert (await order(ledger))["stock_check"] == "unchecked"


async def test_the_order_of_a_shop_is_drained_as_it_was_read(
    outage: Outage, ledger: Database
) -> None:
    """Its message is no submission, and it may lack what a storefront must send."""
    gateway = outage.gateway
    nowhere = orders.Recipient(name="", phone="", country="DE", street="")
    bought = numbered(1, attributes={"gift": 1.5})
    bought = msgspec.structs.replace(bought, recipient=nowhere)
    message = shop_message.ShopMessage(
        source="shop:main",
        provider="shop",
        policies={"web": ChannelPolicy()},
        trigger="callback:shop:main",
        items=[("m-1:placed", bought), ("m-1:paid", paid())],
        body=b"<order/>",
        received_at=datetime.now(UTC),
    )
    outage.cable.cut()
    for _ in range(2):
        await shop_message.accept(message, intake=gateway.intake, new_id=gateway.new_id)
    assert await outage.waiting() == 2
    await outage.mend()
    await outage.drained()
    # Told again, it is recognised: nothing of it changed on the way.
    await shop_message.accept(message, intake=gateway.intake, new_id=gateway.new_id)
    assert (await order(ledger))["status"] == "paid"
    assert (await counts(ledger))["parked"] == 0


#: What was known before the outage, of an order, its payment and two things to note.
KNOWN = [(), ("order",), ("payment",), ("order", "payment"), ("order", "payment", "a", "b")]


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: "+".join(known) or "nothing")
@pytest.mark.parametrize("cut_after", range(4))
async def test_a_journaled_message_is_stored_once_where_anything_of_it_was_new(
    outage: Outage, ledger: Database, known: tuple[str, ...], cut_after: int
) -> None:
    """The journal cannot know which part is new, and its parts are drained one by one."""
    gateway = outage.gateway
    told: dict[str, events.Event | orders.Submission] = {
        "order": numbered(1),
        "payment": paid(),
        "a": events.Noted("a", NOW),
        "b": events.Noted("b", NOW),
    }

    def message(body: bytes, *keys: str) -> shop_message.ShopMessage:
        return shop_message.ShopMessage(
            source="shop:main",
            provider="shop",
            policies={"web": ChannelPolicy()},
            trigger="callback:shop:main",
            items=[(key, told[key]) for key in keys],
            body=body,
            received_at=datetime.now(UTC),
        )

    async def deliver(sent: shop_message.ShopMessage) -> None:
        await shop_message.accept(sent, intake=gateway.intake, new_id=gateway.new_id)

    for key in known:
        await deliver(message(key.encode(), key))
    # Without what Redis remembers of it: the journal takes it for new.
    await gateway.committer.drain()
    redis.Redis.from_url(gateway.settings.redis_url).flushall()
    accept_event, taken = gateway.intake.accept_event, 0

    async def counting(follow_up: FollowUp) -> Done:
        nonlocal taken
        if taken == cut_after:
            outage.cable.cut()
        taken += 1
        return await accept_event(follow_up)

    if cut_after == 0:
        outage.cable.cut()
    gateway.intake.accept_event = counting  # type: ignore[method-assign]
    await deliver(message(b"all of it", *told))
    await outage.mend()
    await outage.drained()
    kept = Messages(pool=gateway.stores.primary, sealer=gateway.stores.sealer)
    for key in told:
        source, name = ("placed:web", "W-1") if key == "order" else ("shop:main", key)
        body = key.encode() if key in known else b"all of it"
        assert await kept.find(source, name) == body
    bodies = await rows(ledger, "raw_messages", "source")
    expected = len(known) + (len(known) < len(told))
    others = sum(n == "placed:web" for (n,) in bodies) - 1
    assert len(bodies) - others == expected


async def test_an_order_of_a_channel_that_a_reload_brought_is_drained(
    outage: Outage, ledger: Database
) -> None:
    """A worker without the channel would park what the gateway has acknowledged."""
    gateway = outage.gateway
    before = outage.drainer()
    loaded = msgspec.structs.replace(
        gateway.settings, channels=[*gateway.settings.channels, Channel("kiosk")]
    )
    configuration = WorkerConfiguration(
        settings=gateway.settings,
        policies=gateway.policies,
        targets=Targets({}),
        signal=gateway.outbox_signal,
        make_sender=lambda _: Receiver(),
        rules=gateway.rules,
        load=lambda: loaded,
    )
    plan = configuration.apply(configuration.read())
    assert plan.text() == "channels + kiosk"
    outage.cable.cut()
    assert (await submit(gateway, numbered(1, channel="kiosk"))).is_journaled
    await outage.mend()
    async with asyncio.timeout(HANG_S):
        while await outage.waiting():
            await before.round()
    assert (await counts(ledger))["parked"] == 0
    assert (await order(ledger))["channel"] == "kiosk"


async def test_repeats_within_an_outage_are_recognised_by_the_journal(outage: Outage) -> None:
    gateway = outage.gateway
    outage.cable.cut()
    first = await submit(gateway, numbered(1), "key-1")
    again = await submit(gateway, numbered(1), "key-1")
    assert (again.answer, again.id, again.is_journaled) == ("replayed", first.id, True)
    # Without what Redis remembers too.
    await gateway.committer.drain()
    redis.Redis.from_url(gateway.settings.redis_url).flushall()
    again = await submit(gateway, numbered(1), "key-1")
    assert (again.answer, again.id, again.is_journaled) == ("replayed", first.id, True)
    other = await submit(gateway, numbered(1, remark="another"), "key-1")
    assert (other.answer, other.id) == ("key_reused", first.id)
    other = await submit(gateway, numbered(1, remark="another"))
    assert (other.answer, other.id) == ("conflict", first.id)
    event = paid()
    assert await tell(gateway, event, "evt-1") == Done("journaled")
    assert (await tell(gateway, event, "evt-1")).outcome == "repeat"
    assert await outage.waiting() == 2


async def test_an_order_stored_before_the_outage_leaves_an_alias(
    outage: Outage, ledger: Database
) -> None:
    gateway = outage.gateway
    before = await submit(gateway, numbered(1))
    await gateway.committer.drain()
    redis.Redis.from_url(gateway.settings.redis_url).flushall()
    outage.cable.cut()
    during = await submit(gateway, numbered(1))
    assert during.is_journaled
    assert during.id != before.id
    await outage.mend()
    await outage.drained()
    reading = OrderReader(readers=gateway.readers, sealer=gateway.stores.sealer)
    found = await reading.order(during.id, None)
    assert found is not None
    assert UUID(found.value[0].id) == before.id
    assert await ledger.fetchval("SELECT count(*) FROM orders WHERE order_no = 'W-1'") == 1


async def test_an_order_that_contradicts_a_stored_one_is_parked(
    outage: Outage, ledger: Database
) -> None:
    gateway = outage.gateway
    before = await submit(gateway, numbered(1))
    outage.cable.cut()
    assert (await submit(gateway, numbered(1, remark="another"))).is_journaled
    await outage.mend()
    await outage.drained()
    assert await rows(ledger, "parked", "detail") == [(f"conflict with order {before.id}",)]
    assert (await order(ledger))["id"] == before.id


async def test_an_unreadable_entry_is_parked_and_the_rest_goes_on(
    outage: Outage, ledger: Database
) -> None:
    gateway = outage.gateway
    streams = gateway.stores.journal_streams
    assert streams is not None
    outage.cable.cut()
    for shard in range(streams.shards):
        await streams.append(shard, "placements", [Entry(b"no envelope", (), b"")])
    placed = await submit(gateway, numbered(1))
    await outage.mend()
    await outage.drained()
    assert (await order(ledger))["id"] == placed.id
    reasons = [detail for (detail,) in await rows(ledger, "parked", "detail")]
    assert len(reasons) == streams.shards
    assert all(reason.startswith("unreadable") for reason in reasons)


async def test_a_drainer_that_dies_between_commit_and_acknowledgement_repeats_harmlessly(
    outage: Outage, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = outage.gateway
    outage.cable.cut()
    placed = [await submit(gateway, numbered(n)) for n in range(1, 6)]
    await tell(gateway, paid(order_no="W-1"))
    await outage.mend()
    dying = outage.drainer()
    kept = await outage.waiting()
    streams = gateway.stores.journal_streams
    assert streams is not None
    with monkeypatch.context() as patch:

        async def die(*_: object) -> None:
            raise Unavailable("journal")

        patch.setattr(streams, "settle", die)
        for _ in range(2):
            with pytest.raises(Unavailable):
                await dying.round()
    assert await outage.waiting() == kept
    # Another takes over what the dead one had read.
    monkeypatch.setattr(drainer, "_IDLE_S", 0.0)
    await outage.drained()
    assert await outage.waiting() == 0
    assert {each.id for each in placed} <= {id_ for (id_,) in await rows(ledger, "orders", "id")}
    assert (await order(ledger, "W-1"))["status"] == "paid"
    assert (await counts(ledger))["payments"] == 1


async def test_entries_whose_reading_was_lost_on_its_way_are_drained_at_once(
    outage: Outage, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = outage.gateway
    outage.cable.cut()
    placed = await submit(gateway, numbered(1))
    await outage.mend()
    worker, streams = outage.drainer(), gateway.stores.journal_streams
    assert streams is not None
    with monkeypatch.context() as patch:
        read = streams.read

        async def lose(*stream: Any, **how: Any) -> Any:
            await read(*stream, **how)
            raise Unavailable("journal")

        patch.setattr(streams, "read", lose)
        with pytest.raises(Unavailable):
            await worker.round()
    assert await outage.waiting()
    # Not by taking over what another drainer left.
    monkeypatch.setattr(drainer, "_IDLE_S", 2 * HANG_S)
    async with asyncio.timeout(HANG_S):
        while await outage.waiting():
            await worker.round()
    assert (await order(ledger))["id"] == placed.id


async def test_an_unreachable_node_does_not_delay_the_others_entries(
    outage: Outage, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = outage.gateway
    outage.cable.cut()
    placed = [await submit(gateway, numbered(n, buyer_id=f"buyer-{n}")) for n in range(1, 13)]
    await outage.mend()
    streams = gateway.stores.journal_streams
    assert streams is not None
    worker, read = outage.drainer(), streams.read

    async def away(shard: int, *more: Any, **how: Any) -> Any:
        if shard == 0:
            raise Unavailable("journal")
        return await read(shard, *more, **how)

    monkeypatch.setattr(streams, "read", away)
    # Until the mend was noticed, other orders were journaled too: how many are left says nothing.
    async with asyncio.timeout(HANG_S):
        while not {each.id for each in placed} & set(await ids(ledger)):
            with contextlib.suppress(Unavailable):
                await worker.round()
    assert await outage.waiting() > 0


async def test_an_entry_that_fails_unexpectedly_is_parked_alone(
    outage: Outage, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = outage.gateway
    outage.cable.cut()
    placed = [await submit(gateway, numbered(n)) for n in range(1, 21)]
    await outage.mend()
    rows_of = Placements._rows

    def fail(self: Placements, batch: Any) -> Any:
        if any(placement.id == placed[7].id for placement, *_ in batch):
            raise KeyError("unexpected")
        return rows_of(self, batch)

    monkeypatch.setattr(Placements, "_rows", fail)
    await outage.drained()
    missing = {each.id for each in placed} - set(await ids(ledger))
    assert missing == {placed[7].id}
    assert await rows(ledger, "parked", "detail") == [("failed at the drain",)]


async def test_a_schema_that_is_not_ours_parks_nothing(outage: Outage, ledger: Database) -> None:
    gateway = outage.gateway
    outage.cable.cut()
    placed = [await submit(gateway, numbered(n)) for n in range(1, 6)]
    await outage.mend()
    await ledger.execute("ALTER TABLE orders RENAME COLUMN district TO ward")
    worker = outage.drainer()
    for _ in range(5):
        assert await worker.round() == 0
    assert (await counts(ledger))["parked"] == 0
    await ledger.execute("ALTER TABLE orders RENAME COLUMN ward TO district")
    async with asyncio.timeout(HANG_S):
        while await outage.waiting():
            await worker.round()
            await asyncio.sleep(0.05)
    assert {each.id for each in placed} <= set(await ids(ledger))


async def test_nothing_leaves_the_journal_while_postgres_is_unavailable(outage: Outage) -> None:
    outage.cable.cut()
    await submit(outage.gateway, numbered(1))
    await tell(outage.gateway, paid())
    worker = outage.drainer()
    for _ in range(5):
        assert await worker.round() == 0
    assert await outage.waiting() == 2


async def test_a_look_alike_of_an_outage_is_held(outage: Outage, ledger: Database) -> None:
    gateway = outage.gateway
    outage.cable.cut()
    first = await submit(gateway, numbered(1), "key-1")
    twin: Placed = await submit(gateway, numbered(1, order_no="W-2"), "key-2")
    same: Placed = await submit(gateway, numbered(1, order_no="W-3"))
    assert twin.is_journaled
    assert twin.id != first.id
    assert (same.answer, same.id) == ("replayed", first.id)
    await outage.mend()
    await outage.drained()
    assert {(await order(ledger, number))["hold"] for number in ("W-1", "W-2")} == {
        None,
        "lookalike",
    }
    assert await ledger.fetchval("SELECT count(*) FROM orders WHERE order_no = 'W-3'") == 0


async def test_an_unfit_journal_is_not_used(
    settings: Settings,
) -> None:
    # The server of the results syncs once a second.
    async with outage_of(with_(settings, journal_url=settings.redis_url)) as outage:
        journal = outage.gateway.journal_monitor
        assert journal is not None
        assert "set appendfsync to always" in journal.reason
        outage.cable.cut()
        with pytest.raises(Unavailable):
            await submit(outage.gateway, numbered(1))
        assert await outage.waiting() == 0


async def test_a_full_journal_rejects(outage: Outage) -> None:
    journal_server = redis.Redis.from_url(outage.gateway.settings.journal_url)
    limit = str(journal_server.config_get("maxmemory")["maxmemory"])
    outage.cable.cut()
    journal_server.config_set("maxmemory", journal_server.info("memory")["used_memory"])
    try:
        with pytest.raises(Unavailable):
            await submit(outage.gateway, numbered(1))
    finally:
        journal_server.config_set("maxmemory", limit)
    assert await outage.waiting() == 0


async def test_with_both_unavailable_nothing_is_stored(
    outage: Outage, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = outage.gateway
    streams = gateway.stores.journal_streams
    assert streams is not None
    outage.cable.cut()
    async with cable_to(gateway.settings.journal_url) as journal_cable:
        other = type(streams)(url=journal_cable.url, shards=4, call_s=0.5)
        monkeypatch.setattr(streams, "_nodes", other._nodes)
        journal_cable.cut()
        with pytest.raises(Unavailable):
            await submit(gateway, numbered(1))
        with pytest.raises(Unavailable):
            await tell(gateway, paid())
        await other.close()
        monkeypatch.undo()
    assert await outage.waiting() == 0
    assert (await counts(ledger))["orders"] == 0


async def test_orders_an_hour_apart_are_not_brushing_because_they_are_drained_together(
    outage: Outage, ledger: Database
) -> None:
    gateway = outage.gateway
    outage.cable.cut()
    clock = gateway.clock
    now = datetime.now(UTC)

    class Backward:
        def __init__(self, minutes: int) -> None:
            self._at = now - timedelta(minutes=minutes)

        def now(self) -> datetime:
            return self._at

        def monotonic_s(self) -> float:
            return clock.monotonic_s()

    for n, minutes in enumerate((80, 60, 40, 20), start=1):
        gateway.intake._clock = Backward(minutes)
        assert (await submit(gateway, numbered(1, order_no=f"W-{n}"), f"key-{n}")).is_journaled
    gateway.intake._clock = clock
    # The claims live in real time: all four are look-alikes of one instant to them, and held
    # look-alikes are stored; the ledger then judges by when each was received.
    await outage.mend()
    await outage.drained()
    holds = [(await order(ledger, f"W-{n}"))["hold"] for n in range(1, 5)]
    assert holds == [None, None, None, None]
