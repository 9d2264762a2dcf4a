"""Upkeep: months are made ahead and dropped when due, windows are purged, what waits is shown."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.wiring import Gateway
from tests.domain.support import due, paid, refunded, shipped
from tests.stores.support import Database, counts, order, reported, rows, submit, tell

NOVEMBER = datetime(2031, 11, 15, tzinfo=UTC)


async def months(ledger: Database) -> list[str]:
    found = await ledger.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'raw_messages'::regclass ORDER BY c.relname"
    )
    return [name.removeprefix("raw_messages_") for (name,) in found]


async def test_months_are_made_ahead_over_the_turn_of_the_year_and_once(
    gateway: Gateway, ledger: Database
) -> None:
    before = await months(ledger)
    for _ in range(2):
        await gateway.maintenance.create_months(NOVEMBER)
        assert set(await months(ledger)) - set(before) == {"2031_11", "2031_12", "2032_01"}


async def keep_raw(ledger: Database, *received: datetime) -> None:
    for at in received:
        await ledger.execute(
            "INSERT INTO raw_messages VALUES (gen_random_uuid(), 'test', '', $1)", at
        )


async def where(ledger: Database) -> list[tuple[str, datetime]]:
    found = await ledger.fetch(
        "SELECT tableoid::regclass::text, received_at FROM raw_messages ORDER BY received_at"
    )
    return [(name.removeprefix("raw_messages_"), at) for name, at in found]


async def test_a_message_lies_in_the_month_of_its_arrival(
    gateway: Gateway, ledger: Database
) -> None:
    await gateway.maintenance.create_months(NOVEMBER)
    last = datetime(2031, 11, 30, 23, 59, 59, 999999, tzinfo=UTC)
    first = last + timedelta(microseconds=1)
    await keep_raw(ledger, last, first, datetime(2035, 1, 1, tzinfo=UTC))
    assert [name for name, _ in await where(ledger)] == ["2031_11", "2031_12", "other"]


async def test_months_past_their_time_are_dropped_and_no_others(
    gateway: Gateway, ledger: Database
) -> None:
    await gateway.maintenance.create_months(NOVEMBER)
    kept = await gateway.maintenance.drop_months(datetime(2032, 5, 31, tzinfo=UTC), 6)
    assert "raw_messages_2031_11" not in kept
    dropped = await gateway.maintenance.drop_months(datetime(2032, 6, 1, tzinfo=UTC), 6)
    assert dropped == ["raw_messages_2031_11"]
    assert {"2031_12", "2032_01", "other"} <= set(await months(ledger))
    assert await gateway.maintenance.drop_months(datetime(2032, 6, 1, tzinfo=UTC), 6) == []


async def test_a_month_that_came_unmade_does_not_stop_the_making_of_others(
    gateway: Gateway, ledger: Database
) -> None:
    """Its messages are in the default partition: they stay, and maintenance goes on."""
    await keep_raw(ledger, NOVEMBER, NOVEMBER + timedelta(days=40))
    await gateway.maintenance.create_months(NOVEMBER)
    assert "2032_01" in await months(ledger)
    assert [at for _, at in await where(ledger)] == [NOVEMBER, NOVEMBER + timedelta(days=40)]


async def test_messages_of_no_month_are_dropped_with_the_months_of_their_age(
    gateway: Gateway, ledger: Database
) -> None:
    """Raw messages past retention are deleted even if their partition was never created."""
    stray = datetime(2031, 11, 30, 23, tzinfo=UTC)
    young = datetime(2031, 12, 1, tzinfo=UTC)
    await keep_raw(ledger, stray, young)
    await gateway.maintenance.drop_months(datetime(2032, 6, 15, tzinfo=UTC), 6)
    assert await where(ledger) == [("other", young)]


async def test_only_windows_that_are_over_are_purged(gateway: Gateway, ledger: Database) -> None:
    for n in range(1, 5):
        await submit(gateway, due(n))
    assert await gateway.maintenance.delete_expired_windows() == 0
    looks = "UPDATE fingerprints SET expires_at = now() - interval '2 minutes' WHERE order_id IN "
    await ledger.execute(looks + "(SELECT order_id FROM fingerprints LIMIT 3)")
    await ledger.execute(
        "UPDATE velocity SET recent = ARRAY[now() - interval '7 minutes'] "
        "WHERE same_goods IN (SELECT same_goods FROM velocity LIMIT 1)"
    )
    await ledger.execute(
        "UPDATE velocity SET recent = ARRAY[now() - interval '1 hour', now()] "
        "WHERE same_goods IN (SELECT same_goods FROM velocity WHERE cardinality(recent) = 1 "
        "AND recent[1] > now() - interval '1 minute' LIMIT 1)"
    )
    assert await gateway.maintenance.delete_expired_windows() == 4
    assert await ledger.fetchval("SELECT count(*) FROM fingerprints") == 1
    assert await ledger.fetchval("SELECT count(*) FROM velocity") == 3


async def test_more_windows_than_one_statement_takes_are_purged(
    gateway: Gateway, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stores.postgres.maintenance._BATCH_ROWS", 10)
    await ledger.execute(
        "INSERT INTO fingerprints SELECT sha256(n::text::bytea), gen_random_uuid(), "
        "now() - interval '1 hour' FROM generate_series(1, 35) n"
    )
    assert await gateway.maintenance.delete_expired_windows() == 35


# --- what waits ---

SHOWN = ("source", "reason", "detail", "order_id")


async def test_what_waits_too_long_for_its_order_is_shown_once(
    gateway: Gateway, ledger: Database
) -> None:
    await tell(gateway, paid())
    assert len(await gateway.maintenance.park_overdue_events(900, 100)) == 0
    assert len(await gateway.maintenance.park_overdue_events(0, 100)) == 1
    assert len(await gateway.maintenance.park_overdue_events(0, 100)) == 0
    assert await rows(ledger, "parked", *SHOWN) == [
        ("stripe:main", "unknown_order", "no order W-1 for transaction T-1", None)
    ]
    assert (await counts(ledger))["waiting"] == 1


async def test_what_is_shown_is_bounded_and_the_oldest_first(
    gateway: Gateway, ledger: Database
) -> None:
    now = datetime.now(UTC)
    for n in range(5):
        at = now - timedelta(seconds=100 - n)
        await gateway.intake.accept_event(
            reported(gateway, paid(order_no=f"W-{n}", transaction_id=f"T-{n}"), received_at=at)
        )
    assert len(await gateway.maintenance.park_overdue_events(50, 3)) == 3
    found = await rows(ledger, "parked", "detail")
    assert {detail.split()[2] for (detail,) in found} == {"W-0", "W-1", "W-2"}


async def test_what_was_shown_is_resolved_when_its_order_comes_after_all(
    gateway: Gateway, ledger: Database
) -> None:
    """Nobody should search for an order that is there and paid."""
    await tell(gateway, paid())
    await tell(gateway, paid(order_no="W-2", transaction_id="T-2"))
    await gateway.maintenance.park_overdue_events(0, 100)
    await submit(gateway, due(1, order_no="W-1"))
    assert (await order(ledger))["status"] == "paid"
    found: list[tuple[Any, ...]] = await rows(
        ledger, "parked", "detail", "resolved_at IS NOT NULL AS is_resolved"
    )
    assert sorted(found) == [
        ("no order W-1 for transaction T-1", True),
        ("no order W-2 for transaction T-2", False),
    ]


@pytest.mark.parametrize("early", [shipped(), refunded()], ids=["parcel", "refund"])
async def test_an_order_that_is_there_is_not_shown_as_unknown(
    gateway: Gateway, ledger: Database, early: Any
) -> None:
    """It waits for its payment: the line names the order, and does not say there is none."""
    placed = await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, early)
    assert len(await gateway.maintenance.park_overdue_events(0, 100)) == 1
    (line,) = await rows(ledger, "parked", "order_id", "detail")
    assert line[0] == placed.id
    assert "no order" not in line[1]


async def test_pairs_that_missed_each_other_are_found_until_they_were_tried(
    gateway: Gateway, ledger: Database
) -> None:
    placed = await submit(gateway, due(1, order_no="W-1"))
    assert await gateway.maintenance.orders_to_settle(100) == []
    await tell(gateway, shipped())
    assert await gateway.maintenance.orders_to_settle(100) == [placed.id]
    await gateway.intake.settle(placed.id)
    assert await gateway.maintenance.orders_to_settle(100) == []
    assert (await counts(ledger))["waiting"] == 1


async def test_what_waits_for_an_order_of_another_channel_is_no_pair(gateway: Gateway) -> None:
    await tell(gateway, paid(), channels=("app",))
    await submit(gateway, due(1, order_no="W-1"))
    assert await gateway.maintenance.orders_to_settle(100) == []
