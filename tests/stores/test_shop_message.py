"""What a shop's message tells is stored whole: the order first, then what happened to it."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from gateway.domain import events, messages, orders
from gateway.domain.channels import ChannelPolicy
from gateway.intake import shop_message
from gateway.stores.postgres.messages import Messages
from gateway.wiring import Gateway
from tests.domain.support import NOW, due, paid, refunded
from tests.stores.support import Database, at_once, counts, order, rows, submit

NOWHERE = orders.Recipient(name="", phone="", country="DE", street="")


def bought(n: int = 1, **changes: Any) -> orders.Submission:
    """Return the order ``W-n`` of goods to download: no address, no telephone number."""
    changes = {"order_no": f"W-{n}", "recipient": NOWHERE, **changes}
    return msgspec.structs.replace(due(1), **changes)


Items = Sequence[tuple[str, events.Event | orders.Submission]]


async def tell(
    gateway: Gateway, *items: events.Event | orders.Submission, key: str = "m-1"
) -> None:
    named = [(f"{key}:{n}", item) for n, item in enumerate(items)]
    await deliver(gateway, named, b"as it arrived")


async def deliver(gateway: Gateway, items: Items, body: bytes) -> None:
    message = shop_message.ShopMessage(
        source="shop:main",
        provider="shop",
        policies={"web": ChannelPolicy()},
        trigger="callback:shop:main",
        items=items,
        body=body,
        received_at=datetime.now(UTC),
    )
    await shop_message.accept(message, intake=gateway.intake, new_id=gateway.new_id)


async def test_an_order_and_its_payment_in_one_message(gateway: Gateway, ledger: Database) -> None:
    for _ in range(2):
        await tell(gateway, bought(), paid())
    stored = await order(ledger)
    assert (stored["status"], stored["country"], stored["hold"]) == ("paid", "DE", None)
    found = await counts(ledger)
    assert (found["orders"], found["payments"], found["parked"]) == (1, 1, 0)
    # The message is stored once, with the order it brought.
    assert found["raw_messages"] == 1


async def test_a_second_order_of_the_same_goods_is_no_repeat(
    gateway: Gateway, ledger: Database
) -> None:
    await tell(gateway, bought(1))
    await tell(gateway, bought(2), key="m-2")
    assert (await order(ledger, "W-2"))["hold"] == "lookalike"
    assert (await counts(ledger))["orders"] == 2


async def test_an_order_that_changed_since_is_shown_to_a_person(
    gateway: Gateway, ledger: Database
) -> None:
    await tell(gateway, bought())
    for _ in range(2):
        await tell(gateway, bought(remark="ring twice"), paid(), key="m-2")
    stored = await order(ledger)
    assert stored["status"] == "paid"
    assert await rows(ledger, "parked", "reason", "order_id") == [("unmapped", stored["id"])]
    assert (await counts(ledger))["raw_messages"] == 2


async def test_an_order_that_does_not_add_up_is_shown_with_its_faults(
    gateway: Gateway, ledger: Database
) -> None:
    wrong = msgspec.structs.replace(bought().amounts, payable=bought().amounts.payable + 1)
    await tell(gateway, bought(amounts=wrong, buyer_id=""), paid())
    ((reason, detail),) = await rows(ledger, "parked", "reason", "detail")
    assert reason == "unmapped"
    assert "amounts.payable is" in detail
    assert "buyer_id has 0 characters, not 1 to 128" in detail
    found = await counts(ledger)
    # The payment waits for an order that a person may still bring.
    assert (found["orders"], found["waiting"], found["raw_messages"]) == (0, 1, 1)


async def test_an_order_that_cannot_be_stored_is_shown_once_until_it_is_another(
    gateway: Gateway, ledger: Database
) -> None:
    """It is told again with every update."""
    for n in range(3):
        await tell(gateway, bought(buyer_id=""), key=f"m-{n}")
    assert (await counts(ledger))["parked"] == 1
    await tell(gateway, bought(buyer_id="", remark="ring twice"), key="m-9")
    assert (await counts(ledger))["parked"] == 2
    # Until it can be stored.
    await tell(gateway, bought(remark="ring twice"), key="m-10")
    assert (await order(ledger))["status"] == "pending_payment"


async def test_a_change_is_of_the_order_in_its_own_channel(
    gateway: Gateway, ledger: Database
) -> None:
    """An account may report orders of several channels, which have numbers of their own."""
    channels = {"app": ChannelPolicy(), "web": ChannelPolicy()}
    other = await submit(gateway, due(2, order_no="W-1", channel="app"))
    for sent in (bought(), bought(remark="ring twice")):
        message = shop_message.ShopMessage(
            source="shop:main",
            provider="shop",
            policies=channels,
            trigger="callback:shop:main",
            items=[("m", sent)],
            body=b"{}",
            received_at=datetime.now(UTC),
        )
        await shop_message.accept(message, intake=gateway.intake, new_id=gateway.new_id)
    (order_id,) = [id_ for (id_,) in await rows(ledger, "parked", "order_id")]
    assert order_id != other.id


@pytest.mark.parametrize("order_no", ["W-1", "W-9", ""])
async def test_what_could_not_be_mapped_is_parked_once(
    gateway: Gateway, ledger: Database, order_no: str
) -> None:
    await tell(gateway, bought())
    for _ in range(2):
        await tell(gateway, events.Unmapped("refund", order_no, "of no amount", NOW), key="m-2")
    ((reason, detail, order_id),) = await rows(ledger, "parked", "reason", "detail", "order_id")
    assert (reason, detail) == ("unmapped", "of no amount")
    assert order_id == ((await order(ledger))["id"] if order_no == "W-1" else None)
    assert (await counts(ledger))["waiting"] == 0


def kept_by(gateway: Gateway) -> Messages:
    return Messages(pool=gateway.stores.primary, sealer=gateway.stores.sealer)


async def found_by(gateway: Gateway, ledger: Database, table: str) -> dict[str, bytes | None]:
    """Return the message that each row of a table finds, by the key of the row."""
    kept = kept_by(gateway)
    return {
        key: await kept.find(source, key)
        for source, key in await rows(ledger, table, "source", "source_key")
        if not source.startswith("refund:")
    }


#: An order, its payment, a refund of it, something to be parked, and something without effect.
TOLD: Items = [
    ("order", bought()),
    ("payment", paid()),
    ("refund", refunded("10.00")),
    ("odd", events.Unmapped("odd", "W-1", "of a new kind", NOW)),
    ("note", events.Noted("note", NOW)),
]
#: What was known before: every subset of it.
KNOWN = [subset for size in range(len(TOLD) + 1) for subset in itertools.combinations(TOLD, size)]


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: "+".join(key for key, _ in known) or "-")
async def test_a_message_is_stored_once_where_anything_of_it_was_new(
    gateway: Gateway, ledger: Database, known: Items
) -> None:
    for n, item in enumerate(known):
        await deliver(gateway, [item], b"before %d" % n)
    before = await found_by(gateway, ledger, "order_events")
    for _ in range(2):
        await deliver(gateway, TOLD, b"all of it")
    bodies = [body for body in (await found_by(gateway, ledger, "order_events")).values() if body]
    assert (await counts(ledger))["raw_messages"] == len(known) + (len(known) < len(TOLD))
    assert (b"all of it" in bodies) is (len(known) < len(TOLD))
    found = await found_by(gateway, ledger, "order_events")
    # Whatever the message was first to tell leads to it, and nothing else does.
    told = {"W-1" if key == "order" else key for key, _ in TOLD}
    assert told <= set(found)
    for key in told:
        assert found[key] == before.get(key, b"all of it")
    parked = await found_by(gateway, ledger, "parked")
    assert parked["odd"] == before.get("odd", b"all of it")


async def test_an_event_that_waits_and_is_parked_finds_its_message(
    gateway: Gateway, ledger: Database
) -> None:
    early: Items = [("note", events.Noted("note", NOW)), ("payment", paid(currency="USD"))]
    await deliver(gateway, [("note", events.Noted("note", NOW))], b"before")
    await deliver(gateway, early, b"early")
    placed = await submit(gateway, due(1, order_no="W-1"))
    await gateway.intake.settle(placed.id)
    ((source, key, reason),) = await rows(ledger, "parked", "source", "source_key", "reason")
    assert reason == "amount_mismatch"
    assert await kept_by(gateway).find(source, key) == b"early"


async def test_what_a_message_told_and_nobody_can_store_is_parked_with_it(
    gateway: Gateway, ledger: Database
) -> None:
    """Whether it comes first or after what has stored the message."""
    bad = events.Unmapped("odd\0", "W-1", "", NOW)
    note = events.Noted("note", NOW)
    await deliver(gateway, [("bad-1", bad), ("note-1", note)], b"first")
    await deliver(gateway, [("note-2", note), ("bad-2", bad)], b"second")
    parked = await ledger.fetch("SELECT id, source_key, body FROM parked ORDER BY id")
    assert {
        row["source_key"]: gateway.stores.sealer.open("parked.body", row["id"].bytes, row["body"])
        for row in parked
    } == {"bad-1": b"first", "bad-2": b"second"}
    found = await found_by(gateway, ledger, "order_events")
    assert found == {"note-1": b"first", "note-2": b"second"}


async def test_the_same_message_many_times_at_once_is_stored_once(
    gateway: Gateway, ledger: Database
) -> None:
    await deliver(gateway, TOLD[:1], b"before")
    results = await at_once([deliver(gateway, TOLD, b"all of it") for _ in range(20)])
    assert results == [None] * 20
    assert (await counts(ledger))["raw_messages"] == 2


async def test_what_several_messages_tell_at_once_is_found_in_one_of_them(
    gateway: Gateway, ledger: Database
) -> None:
    told = {b"%d" % n: [TOLD[0], *part] for n, part in enumerate(itertools.permutations(TOLD[1:]))}
    results = await at_once([deliver(gateway, items, body) for body, items in told.items()])
    assert results == [None] * len(told)
    found = await found_by(gateway, ledger, "order_events")
    assert all(body in told for body in found.values())
    # None is kept that told nothing new.
    assert (await counts(ledger))["raw_messages"] == len(set(found.values()))


@pytest.mark.parametrize("done", range(1, len(TOLD)))
async def test_a_message_that_was_taken_half_way_is_completed_by_its_repeat(
    gateway: Gateway, ledger: Database, done: int
) -> None:
    """A process that is killed between two parts leaves this behind."""
    await deliver(gateway, TOLD[:done], b"all of it")
    await deliver(gateway, TOLD, b"all of it")
    found = await found_by(gateway, ledger, "order_events")
    told = ["W-1", *[key for key, _ in TOLD[1:]]]
    assert [found[key] for key in told] == [b"all of it"] * len(TOLD)


def test_the_parts_of_a_message_are_next_to_each_other() -> None:
    message_id = UUID("01939f8e-0000-7000-8000-00000000abcd")
    ids = [messages.part_id(message_id, n) for n in (0, 1, 65_535)]
    assert ids == sorted(ids)
    assert {messages.bounds(id_) for id_ in ids} == {(ids[0], ids[-1])}
    with pytest.raises(ValueError, match="no part"):
        messages.part_id(message_id, 65_536)


async def test_a_message_that_repeats_under_another_key_is_stored_once(
    gateway: Gateway, ledger: Database
) -> None:
    """Its first part is recorded, though it changes nothing; what follows is new."""
    await deliver(gateway, TOLD[:2], b"before")
    again: Items = [("payment again", paid()), ("note", events.Noted("note", NOW))]
    for _ in range(2):
        await deliver(gateway, again, b"again")
    found = await found_by(gateway, ledger, "order_events")
    assert (found["payment again"], found["note"]) == (b"again", b"again")
    assert (await counts(ledger))["raw_messages"] == 2
