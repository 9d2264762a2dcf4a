"""Acceptances on the real ledger: kept with the order, and shown in lists and details."""

import csv
from datetime import timedelta

import msgspec

from gateway.domain import events, order_csv
from gateway.domain.order_details import AcceptanceView, detail
from gateway.stores.postgres.order_reader import Filter, OrderReader
from gateway.wiring import Gateway
from tests.domain.support import NOW, due, paid, shipped
from tests.stores.support import Database, order, rows, submit, tell

AT = NOW + timedelta(minutes=6)


def accepted(target: str = "wms", reference: str = "WMS-1") -> events.Accepted:
    return events.Accepted("W-1", target, reference, AT)


async def awaited(ledger: Database, target: str = "wms") -> None:
    """Let every order wait for the target's word, as the relay does."""
    await ledger.execute(
        "INSERT INTO awaiting_acceptance (order_id, target, event_id, position, version, since) "
        "SELECT id, $1, gen_random_uuid(), 1, 2, now() FROM orders",
        target,
    )


async def test_an_acceptance_is_kept_shown_and_awaited_no_more(
    gateway: Gateway, ledger: Database
) -> None:
    placed = await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid())
    await awaited(ledger)
    await awaited(ledger, "erp")
    assert (await tell(gateway, accepted(), "evt")).outcome == "applied"
    assert (await tell(gateway, accepted(), "evt")).outcome == "repeat"
    assert (await tell(gateway, accepted())).outcome == "repeat"
    assert await ledger.fetch("SELECT target FROM awaiting_acceptance") == [("erp",)]
    history = await rows(ledger, "order_events", "action", "outcome", "detail")
    assert history[-2:] == [
        ("accepted", "applied", "by wms as WMS-1"),
        ("accepted", "repeat", None),
    ]
    assert (await rows(ledger, "outbox", "topic"))[-1] == ("order.accepted",)
    reader = OrderReader(readers=gateway.readers, sealer=gateway.stores.sealer)
    found = await reader.order(placed.id, None)
    assert found is not None
    shown = detail(*found.value, in_clear=False)
    assert shown.acceptances == [AcceptanceView("wms", "WMS-1", AT)]
    (listed,) = (await reader.page(Filter())).value
    assert detail(*listed, in_clear=False) == shown
    assert shown.accepted_at == AT
    line = next(csv.reader([order_csv.rows([shown]).decode()]))
    assert line[order_csv.COLUMNS.index("accepted_at")] == AT.isoformat()


async def test_later_changes_keep_it(gateway: Gateway, ledger: Database) -> None:
    await submit(gateway, due(1, order_no="W-1"))
    for event in (paid(), accepted(), accepted("erp", ""), shipped()):
        await tell(gateway, event)
    stored = await order(ledger)
    assert (stored["status"], stored["version"], stored["accepted_at"]) == ("shipped", 5, AT)
    assert [each["target"] for each in msgspec.json.decode(stored["acceptances"])] == ["erp", "wms"]


async def test_an_order_that_nobody_accepts_stores_nothing_of_it(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid())
    stored = await order(ledger)
    assert (stored["accepted_at"], stored["acceptances"]) == (None, None)


async def test_one_that_comes_first_is_applied_with_the_payment(
    gateway: Gateway, ledger: Database
) -> None:
    assert (await tell(gateway, accepted())).outcome == "waiting"
    await submit(gateway, due(1, order_no="W-1"))
    assert (await order(ledger))["accepted_at"] is None
    await tell(gateway, paid())
    assert (await order(ledger))["accepted_at"] == AT
