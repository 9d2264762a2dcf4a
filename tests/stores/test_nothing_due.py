"""An order of 0.00 is paid as it is placed, and every repeat hears so."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from gateway.domain import events, orders
from gateway.runtime.settings import Settings
from gateway.wiring import Gateway
from tests.domain.support import NOW, due, paid, submission
from tests.stores.support import Database, at_once, counts, order, rows, submit, tell
from tests.workers.outage import outage_of

_FREE: dict[str, Any] = {
    "nothing costs anything": {"goods": "0", "payable": "0", "freight": "0"},
    "written with decimals": {"goods": "0.00", "payable": "0.00", "freight": "0"},
    "written with an exponent": {"goods": "0E+2", "payable": "0E-2", "freight": "0"},
}


def free(n: int = 1, **changes: Any) -> orders.Submission:
    """Return an order that costs nothing."""
    return due(n, Decimal(0), **{"order_no": f"W-{n}", **changes})


async def told_of(ledger: Database, id_: UUID) -> list[str]:
    """Return the topics that were staged for an order, in the order of its versions."""
    query = "SELECT topic FROM outbox WHERE order_id = $1 ORDER BY version"
    return [topic for (topic,) in await ledger.fetch(query, id_)]


async def test_it_is_placed_and_paid_in_one_statement(gateway: Gateway, ledger: Database) -> None:
    placed = await submit(gateway, free())
    assert (placed.answer, placed.status, placed.version) == ("placed", "paid", 2)
    stored = await order(ledger)
    assert (stored["status"], stored["version"], stored["paid"]) == ("paid", 2, 0)
    assert (stored["paid_at"], stored["hold"]) == (stored["placed_at"], None)
    history = await rows(
        ledger, "order_events", "action", "from_status", "to_status", "outcome", "trigger"
    )
    assert history == [
        ("placed", None, "pending_payment", "applied", "test"),
        ("payment_succeeded", "pending_payment", "paid", "applied", "test"),
    ]
    assert await rows(ledger, "outbox", "order_id", "version", "topic", "priority") == [
        (placed.id, 1, "order.placed", 5),
        (placed.id, 2, "order.paid", 1),
    ]
    assert (await counts(ledger))["payments"] == 0


@pytest.mark.parametrize("amounts", _FREE.values(), ids=_FREE)
async def test_zero_is_zero_however_it_is_written(
    gateway: Gateway, ledger: Database, amounts: dict[str, str]
) -> None:
    item = {"sku": "A", "name": "Sample", "quantity": 1, "unit_price": "0"}
    placed = await submit(gateway, submission(1, order_no="W-1", items=[item], amounts=amounts))
    assert (placed.status, (await order(ledger))["status"]) == ("paid", "paid")


async def test_all_of_it_taken_off_by_discounts_is_zero_too(
    gateway: Gateway, ledger: Database
) -> None:
    amounts = {"goods": "100.00", "shop_discount": "40.00", "platform_subsidy": "60.00",
               "freight": "0", "payable": "0.00"}  # fmt: skip
    item = {"sku": "A", "name": "Tea", "quantity": 1, "unit_price": "100.00"}
    await submit(gateway, submission(1, order_no="W-1", items=[item], amounts=amounts))
    assert (await order(ledger))["status"] == "paid"


async def test_one_cent_is_not_zero(gateway: Gateway, ledger: Database) -> None:
    placed = await submit(gateway, due(1, Decimal("0.01"), order_no="W-1"))
    assert (placed.status, placed.version) == ("pending_payment", 1)
    assert (await order(ledger))["status"] == "pending_payment"
    assert (await counts(ledger))["outbox"] == 1


async def test_every_repeat_is_told_what_the_first_was(gateway: Gateway, ledger: Database) -> None:
    """From the ledger, from the cache, by key, by number and as a double click."""
    first = await submit(gateway, free(), "k-1")
    await gateway.committer.drain()
    again = [await submit(gateway, free(), key) for key in ("k-1", None, "k-2")]
    assert {(each.answer, each.id, each.status, each.version) for each in again} == {
        ("replayed", first.id, "paid", 2)
    }
    clicked = await submit(gateway, free(1, order_no="W-9"))
    assert (clicked.answer, clicked.id, clicked.status) == ("replayed", first.id, "paid")
    # Also once it has moved on: a repeat gets the original result.
    shipped = events.Shipped("W-1", "SF", "SF-1", NOW)
    assert (await tell(gateway, shipped)).status == "shipped"
    later = await submit(gateway, free(), "k-3")
    assert (later.status, later.version) == ("paid", 2)


async def test_many_at_once_are_one(gateway: Gateway, ledger: Database) -> None:
    answers = await at_once([submit(gateway, free(), f"k-{n}") for n in range(20)])
    assert {(each.id, each.status, each.version) for each in answers} == {
        (answers[0].id, "paid", 2)
    }
    made = await counts(ledger)
    assert (made["orders"], made["order_events"], made["outbox"]) == (1, 2, 2)


async def test_one_among_many_that_are_due_is_the_only_one_paid(
    gateway: Gateway, ledger: Database
) -> None:
    await at_once([submit(gateway, due(n, order_no=f"W-{n}")) for n in range(1, 20)])
    await at_once([submit(gateway, free(20)), *[submit(gateway, due(n)) for n in range(21, 40)]])
    found = await ledger.fetch("SELECT order_no FROM orders WHERE status = 'paid'")
    assert [row[0] for row in found] == ["W-20"]


async def test_a_hold_stays(gateway: Gateway, ledger: Database) -> None:
    """The fourth of one buyer in five minutes: paid, and a person must look at it all the same."""
    for n in range(1, 5):
        sent = free(1, order_no=f"W-{n}", recipient={"phone": f"1380013800{n}"})
        placed = await submit(gateway, sent, f"k-{n}")
    assert (placed.status, placed.hold) == ("paid", "suspected_brushing")
    stored = await order(ledger, "W-4")
    assert (stored["status"], stored["hold"]) == ("paid", "suspected_brushing")
    again = await submit(gateway, sent, "k-4")
    assert (again.status, again.hold) == ("paid", "suspected_brushing")
    # It is handed on as paid when the hold ends, and not before.
    assert await told_of(ledger, placed.id) == ["order.placed", "order.changed"]
    await tell(gateway, events.Released("W-4", "they are three friends", NOW))
    assert await told_of(ledger, placed.id) == ["order.placed", "order.changed", "order.paid"]


async def test_what_came_before_it_is_applied(gateway: Gateway, ledger: Database) -> None:
    early = await tell(gateway, events.Shipped("W-1", "SF", "SF-1", NOW))
    assert early.outcome == "waiting"
    placed = await submit(gateway, free())
    assert (placed.status, placed.version) == ("paid", 2)
    stored = await order(ledger)
    assert (stored["status"], stored["version"]) == ("shipped", 3)
    assert (await counts(ledger))["waiting"] == 0


async def test_money_that_comes_for_it_is_a_surplus(gateway: Gateway, ledger: Database) -> None:
    await submit(gateway, free())
    await tell(gateway, paid("5.00"))
    stored = await order(ledger)
    assert (stored["status"], stored["hold"] is None) == ("paid", False)
    assert (await counts(ledger))["parked"] == 1


async def test_a_test_order_of_the_same_number_is_paid_beside_it(
    gateway: Gateway, ledger: Database
) -> None:
    live, test = await submit(gateway, free()), await submit(gateway, free(1, is_test=True))
    assert live.id != test.id
    assert (live.status, test.status) == ("paid", "paid")
    assert (await counts(ledger))["order_events"] == 4


async def test_in_an_outage_the_answer_is_the_same(settings: Settings, ledger: Database) -> None:
    async with outage_of(settings) as outage:
        gateway = outage.gateway
        await submit(gateway, due(7))
        outage.cable.cut()
        first, again = await submit(gateway, free(), "k-1"), await submit(gateway, free(), "k-1")
        assert (first.is_journaled, first.status, first.version) == (True, "paid", 2)
        assert (again.id, again.status, again.version) == (first.id, "paid", 2)
        await outage.mend()
        await outage.drained()
        after = await submit(gateway, free(), "k-1")
        assert (after.id, after.status, after.version) == (first.id, "paid", 2)
    assert (await order(ledger))["status"] == "paid"
