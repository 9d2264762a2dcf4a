"""Test orders and live ones in the ledger: numbers, keys, windows and money apart."""

from typing import Any

import asyncpg
import msgspec
import pytest

from gateway.domain import orders
from gateway.domain.placing import Placed
from gateway.runtime.settings import Settings
from gateway.stores.postgres.ledger import Ledger
from gateway.stores.postgres.order_reader import Filter, OrderReader
from gateway.stores.postgres.statements import sql
from gateway.wiring import Gateway
from tests.domain.support import delivered, due, paid, refunded, shipped
from tests.stores.support import (
    Database,
    at_once,
    counts,
    gateways,
    placement,
    reported,
    rows,
    submit,
    tell,
    with_,
)


def both(n: int = 1, **changes: Any) -> tuple[orders.Submission, orders.Submission]:
    """Return an order as a live one and as a test order."""
    live = due(n, **changes)
    return live, orders.as_test(live)


def stored(gateway: Gateway, *, is_late: bool = False) -> Ledger:
    """Return the ledger itself, for batches that a test makes."""
    return Ledger(
        pool=gateway.stores.primary,
        sealer=gateway.stores.sealer,
        new_id=gateway.new_id,
        is_late=is_late,
    )


async def statuses(ledger: Database, order_no: str) -> dict[bool, str]:
    """Return the status of the live order and of the test order of a number."""
    return dict(
        await ledger.fetch("SELECT is_test, status FROM orders WHERE order_no = $1", order_no)
    )


async def test_both_may_have_one_number_and_one_key_in_one_batch(
    gateway: Gateway, ledger: Database
) -> None:
    live, test = both(order_no="W-1")
    sent = [(order, key) for order in (live, test) for key in ("r-1", "r-1")]
    placed = await at_once([submit(gateway, order, key) for order, key in sent])
    assert all(isinstance(each, Placed) for each in placed), placed
    assert sorted(each.answer for each in placed) == ["placed", "placed", "replayed", "replayed"]
    assert {each.hold for each in placed} == {None}
    assert await ledger.fetchval("SELECT count(*) FROM orders") == 2
    history = await ledger.fetch("SELECT source, source_key FROM order_events ORDER BY source")
    assert [tuple(row) for row in history] == [("placed-test:web", "W-1"), ("placed:web", "W-1")]


@pytest.mark.parametrize("is_late", [False, True])
async def test_each_kind_has_its_own_repeats_and_contradictions(
    settings: Settings, ledger: Database, is_late: bool
) -> None:
    async with gateways(with_(settings, redis_url="")) as (gateway,):
        ids = {order.is_test: (await submit(gateway, order)).id for order in both(order_no="W-1")}
        for order in both(order_no="W-1"):
            again = placement(gateway, order)
            (placed,) = await stored(gateway, is_late=is_late).place([again])
            assert isinstance(placed, Placed)
            assert (placed.answer, placed.id) == ("replayed", ids[order.is_test])
        for order in both(order_no="W-1", remark="other"):
            placed = await submit(gateway, order)
            assert (placed.answer, placed.id) == ("conflict", ids[order.is_test])


async def test_the_number_of_a_test_order_from_before_stays_taken(
    gateway: Gateway, ledger: Database
) -> None:
    live, test = both(order_no="W-1")
    placed = await submit(gateway, test)
    # Earlier versions wrote the history of all orders under one source.
    await ledger.execute(
        "INSERT INTO order_events (id, order_id, source, source_key, action, outcome, trigger, "
        "occurred_at, received_at) VALUES ($1, $1, 'placed:web', 'W-1', 'placed', 'applied', "
        "'test', now(), now())",
        placed.id,
    )
    answer = await submit(gateway, live)
    assert (answer.answer, answer.id) == ("conflict", placed.id)


@pytest.mark.parametrize("is_first", [True, False])
async def test_money_finds_the_order_of_its_kind(
    gateway: Gateway, ledger: Database, is_first: bool
) -> None:
    orders_ = both(order_no="W-1")
    if is_first:
        for order in orders_:
            await submit(gateway, order)
    await tell(gateway, paid(transaction_id="T-test"), is_test=True)
    if not is_first:
        for order in orders_:
            await submit(gateway, order)
    assert await statuses(ledger, "W-1") == {False: "pending_payment", True: "paid"}
    await tell(gateway, paid(transaction_id="T-live"))
    assert await statuses(ledger, "W-1") == {False: "paid", True: "paid"}
    await tell(gateway, refunded(transaction_id="T-test"), is_test=True)
    assert await statuses(ledger, "W-1") == {False: "paid", True: "refunded"}


async def test_what_waits_for_one_kind_is_not_tried_on_the_other(
    gateway: Gateway, ledger: Database
) -> None:
    live, test = both(order_no="W-1")
    await tell(gateway, paid())
    await submit(gateway, test)
    assert await gateway.maintenance.orders_to_settle(100) == []
    assert (await counts(ledger))["waiting"] == 1
    await gateway.maintenance.park_overdue_events(0, 100)
    assert await rows(ledger, "parked", "reason", "order_id") == [("unknown_order", None)]
    await submit(gateway, live)
    assert await statuses(ledger, "W-1") == {False: "paid", True: "pending_payment"}
    assert (await counts(ledger))["waiting"] == 0


async def test_a_test_payment_that_waits_is_shown_as_one(
    gateway: Gateway, ledger: Database
) -> None:
    await tell(gateway, paid(), is_test=True)
    await gateway.maintenance.park_overdue_events(0, 100)
    assert await rows(ledger, "parked", "detail") == [("no test order W-1 for transaction T-1",)]


async def test_a_parcel_is_real_whatever_its_order(gateway: Gateway, ledger: Database) -> None:
    _, test = both(order_no="W-1")
    await submit(gateway, test)
    for event in (paid(), shipped()):
        await tell(gateway, event, is_test=True)
    await tell(gateway, msgspec.structs.replace(delivered(""), tracking_no="SF-1"))
    assert await statuses(ledger, "W-1") == {True: "completed"}


async def test_events_of_both_kinds_in_one_batch(gateway: Gateway, ledger: Database) -> None:
    for order in both(order_no="W-1"):
        await submit(gateway, order)
    batch = [
        reported(gateway, paid(transaction_id=f"T-{is_test}"), is_test=is_test)
        for is_test in (True, False)
    ]
    done = await stored(gateway).follow(batch)
    assert [each.outcome for each in done] == ["applied", "applied"]
    assert await statuses(ledger, "W-1") == {False: "paid", True: "paid"}


async def test_a_list_of_test_orders_reads_no_others(
    gateway: Gateway, ledger: Database, superuser_url: str
) -> None:
    """They are few among many: an index has them alone."""
    for n in range(1, 4):
        await submit(gateway, both(n, order_no=f"W-{n}")[n % 2])
    reader = OrderReader(readers=gateway.readers, sealer=gateway.stores.sealer)
    for is_test, count in ((True, 2), (False, 1), (None, 3)):
        page = (await reader.page(Filter(is_test=is_test))).value
        assert len(page) == count
    connection = await asyncpg.connect(superuser_url)
    try:
        # Of these three rows, not of what another test left the planner to know.
        await connection.execute("ANALYZE orders")
        await connection.execute(
            "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off"
        )
        for kind, index in (("true", "orders_test_placed"), ("false", "orders_placed")):
            plan = await connection.fetch(f"EXPLAIN {_listing(kind)}")
            shown = "\n".join(row[0] for row in plan)
            assert f" {index} " in shown, shown
    finally:
        await connection.close()


def _listing(is_test: str) -> str:
    """Return the statement of a page with its values, as a custom plan has them."""
    values = [*["NULL"] * 8, "50", is_test, *["NULL"] * 11]
    text = sql("list_orders")
    for number in range(len(values), 0, -1):
        text = text.replace(f"${number}", values[number - 1])
    return text
