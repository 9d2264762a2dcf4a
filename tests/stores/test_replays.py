"""Replays of parked events on the real ledger: judged again under the order's lock, once."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from gateway.domain import events
from gateway.domain.channels import ChannelPolicy
from gateway.domain.following import Done, FollowUp, Replay
from gateway.wiring import Gateway
from tests.domain.support import due, paid, refunded
from tests.stores.support import (
    Database,
    at_once,
    counts,
    order,
    replaying_in,
    reported,
    rows,
    submit,
    tell,
)


def unmapped(order_no: str = "W-1") -> events.Unmapped:
    return events.Unmapped("odd", order_no, "of a kind that is not booked", datetime.now(UTC))


async def open_rows(ledger: Database) -> list[asyncpg.Record]:
    query = "SELECT * FROM parked WHERE resolved_at IS NULL ORDER BY received_at"
    found: list[asyncpg.Record] = await ledger.fetch(query)
    return found


async def replay(gateway: Gateway, row: asyncpg.Record, event: events.Event, **more: Any) -> Done:
    """Judge a parked row again as an adapter reads its message now."""
    entry: FollowUp = reported(gateway, event, row["source_key"], raw=None, **more)
    waiting_id = UUID(row["source_key"]) if row["reason"] == "unknown_order" else None
    return await gateway.intake.replay(
        Replay(row["id"], entry, "mei", row["transaction_no"], waiting_id)
    )


async def history(ledger: Database, order_no: str = "W-1") -> list[tuple[str, str]]:
    id_ = (await order(ledger, order_no))["id"]
    found = await ledger.fetch(
        "SELECT action, outcome FROM order_events WHERE order_id = $1 ORDER BY id", id_
    )
    return [tuple(row) for row in found]


async def test_what_was_not_mapped_is_booked_once(gateway: Gateway, ledger: Database) -> None:
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, unmapped("W-1"))
    (row,) = await open_rows(ledger)
    first = await replay(gateway, row, paid("100"))
    assert (first.outcome, first.status) == ("applied", "paid")
    before = await counts(ledger)
    again = await at_once([replay(gateway, row, paid("100")) for _ in range(5)])
    assert {done.outcome for done in again} == {"repeat"}
    assert await counts(ledger) == before
    assert await history(ledger) == [
        ("placed", "applied"),
        ("odd", "parked"),
        ("payment_succeeded", "applied"),
    ]
    stored = await ledger.fetchrow("SELECT * FROM parked WHERE id = $1", row["id"])
    assert stored is not None
    assert (stored["resolved_by"], stored["resolution"]) == ("mei", "replayed: applied")


async def test_two_people_replay_at_once(gateway: Gateway, ledger: Database) -> None:
    for n in range(1, 11):
        await submit(gateway, due(n, order_no=f"W-{n}"))
        await tell(gateway, unmapped(f"W-{n}"))
    parked = await open_rows(ledger)
    done = await at_once(
        [
            replay(gateway, row, paid("100", order_no=f"W-{n}", transaction_id=f"P-{n}"))
            for _ in range(2)
            for n, row in enumerate(parked, start=1)
        ]
    )
    assert sorted(each.outcome for each in done) == ["applied"] * 10 + ["repeat"] * 10
    assert await ledger.fetchval("SELECT sum(paid) FROM orders") == 1000
    assert await open_rows(ledger) == []


async def test_what_is_still_not_mapped_writes_no_history(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, unmapped("W-1"))
    (row,) = await open_rows(ledger)
    before = await counts(ledger), (await order(ledger))["version"]
    for _ in range(2):
        assert (await replay(gateway, row, unmapped("W-1"))).outcome == "parked"
    assert (await counts(ledger), (await order(ledger))["version"]) == before
    (row,) = await open_rows(ledger)
    assert row["replays"] == 2


async def test_a_payment_of_another_amount_is_judged_by_the_channel_of_now(
    gateway: Gateway, ledger: Database
) -> None:
    """Parked while the channel took no parts; afterwards it is the first part."""
    gateway.policies.now = {"web": ChannelPolicy(parts="single")}
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid("40"))
    (row,) = await open_rows(ledger)
    assert (await replay(gateway, row, paid("40"))).outcome == "parked"
    assert (await order(ledger))["version"] == 2
    gateway.policies.now = {"web": ChannelPolicy(parts="accept")}
    assert (await replay(gateway, (await open_rows(ledger))[0], paid("40"))).outcome == "applied"
    stored = await order(ledger)
    assert (stored["status"], stored["hold"], stored["paid"]) == ("pending_payment", None, 40)
    await tell(gateway, paid("60", transaction_id="T-2"))
    assert (await order(ledger))["status"] == "paid"


async def test_an_amount_that_was_misread_is_corrected(gateway: Gateway, ledger: Database) -> None:
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid("10000", currency="EUR"))
    (row,) = await open_rows(ledger)
    assert (await order(ledger))["hold"] == "amount_mismatch"
    assert (await replay(gateway, row, paid("100"))).outcome == "applied"
    stored = await order(ledger)
    assert (stored["status"], stored["hold"], stored["paid"]) == ("paid", None, Decimal(100))
    assert await rows(ledger, "payments", "currency", "amount", "standing") == [
        ("CNY", Decimal(100), "applied")
    ]


async def test_a_number_that_was_misread_is_corrected(gateway: Gateway, ledger: Database) -> None:
    """Of the order and of the transaction: the other order is held no more."""
    await submit(gateway, due(1, order_no="W-1"))
    await submit(gateway, due(2, order_no="W-2"))
    await tell(gateway, paid("100", currency="EUR", order_no="W-1", transaction_id="ORD"))
    (row,) = await open_rows(ledger)
    right = paid("100", order_no="W-2", transaction_id="P-1")
    assert (await replay(gateway, row, right)).outcome == "applied"
    assert ((await order(ledger, "W-1"))["hold"], (await order(ledger, "W-2"))["status"]) == (
        None,
        "paid",
    )
    assert await rows(ledger, "payments", "transaction_id", "standing") == [("P-1", "applied")]


async def test_money_that_counts_is_not_taken_back(gateway: Gateway, ledger: Database) -> None:
    """Read otherwise now, it contradicts what is booked: a person has to look."""
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, unmapped("W-1"))
    await tell(gateway, paid("100"))
    (row,) = await open_rows(ledger)
    done = await replay(gateway, row, paid("99"))
    assert (done.outcome, done.reason) == ("parked", "amount_mismatch")
    assert ((await order(ledger))["paid"], len(await open_rows(ledger))) == (100, 1)


async def test_what_waits_for_an_order_of_another_channel_finds_it(
    gateway: Gateway, ledger: Database
) -> None:
    """The account was configured for the wrong channel; its event waited there."""
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid("100", order_no="W-1"), channels=("app",))
    await gateway.maintenance.park_overdue_events(-1, 10)
    (row,) = await open_rows(ledger)
    unchanged = await replay(gateway, row, paid("100", order_no="W-1"), channels=("app",))
    assert unchanged.outcome == "waiting"
    assert len(await open_rows(ledger)) == 1
    done = await replay(gateway, row, paid("100", order_no="W-1"))
    assert (done.outcome, done.status) == ("applied", "paid")
    assert (await counts(ledger))["waiting"] == 0
    assert await open_rows(ledger) == []
    again = await replay(gateway, row, paid("100", order_no="W-1"))
    assert again.outcome == "repeat"


async def test_what_waits_on_is_found_by_the_number_that_is_read_now(
    gateway: Gateway, ledger: Database
) -> None:
    await tell(gateway, paid("100", order_no="X-1"))
    await gateway.maintenance.park_overdue_events(-1, 10)
    (row,) = await open_rows(ledger)
    assert (await replay(gateway, row, paid("100", order_no="W-1"))).outcome == "waiting"
    (row,) = await open_rows(ledger)
    assert row["order_no"] == "W-1"
    await submit(gateway, due(1, order_no="W-1"))
    assert (await order(ledger))["status"] == "paid"
    assert await open_rows(ledger) == []


async def test_a_refund_without_a_number_counts_once(gateway: Gateway, ledger: Database) -> None:
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid("100"))
    await tell(gateway, unmapped("W-1"))
    (row,) = await open_rows(ledger)
    back = refunded("30", refund_no="", cumulative=False)
    assert (await replay(gateway, row, back)).outcome == "applied"
    assert (await replay(gateway, row, back)).outcome == "repeat"
    assert (await order(ledger))["refunded"] == 30


async def test_a_preview_writes_nothing(gateway: Gateway, ledger: Database) -> None:
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, unmapped("W-1"))
    (row,) = await open_rows(ledger)
    before = await counts(ledger), await rows(ledger, "parked", "xmin::text", "replays")
    entry = reported(gateway, paid("100"), row["source_key"], raw=None)
    (done,) = await replaying_in(gateway).ledger.preview([Replay(row["id"], entry, "mei")])
    assert (done.outcome, done.status) == ("applied", "paid")
    assert (await counts(ledger), await rows(ledger, "parked", "xmin::text", "replays")) == before
    assert (await order(ledger))["status"] == "pending_payment"
