"""The real ledger: whichever way the events of an order arrive, it ends in the same state.

The same is tried a hundred times more, without a database, in ``tests/domain``.
"""

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from gateway.domain import events
from gateway.wiring import Gateway
from tests.domain.support import DUE, closed, due, paid, refunded
from tests.domain.test_commuting import PLACED, arrivals
from tests.stores.support import Database, at_once, order, submit, tell

_serial = itertools.count(1)

KINDS = ["cumulative", "single", "by transaction only"]
NAMES = [PLACED, "paid", "paid again", "partial", "full", "closed"]


def events_of(kind: str, order_no: str) -> dict[str, events.Event]:
    transaction = {"transaction_id": f"T-{order_no}"}
    named: dict[str, Any] = {**transaction, "order_no": order_no}
    if kind == "by transaction only":
        named["order_no"] = ""
    if kind == "single":
        partial = refunded("30", cumulative=False, refund_no="R-1", **named)
        full = refunded("70", cumulative=False, refund_no="R-2", **named)
    else:
        partial, full = refunded("30", **named), refunded("100", **named)
    payment = paid(order_no=order_no, **transaction)
    return {
        "paid": payment,
        "paid again": payment,
        "partial": partial,
        "full": full,
        "closed": closed(order_no=order_no),
    }


async def state(ledger: Database, order_no: str) -> dict[str, Any]:
    stored = await order(ledger, order_no)
    payment = await ledger.fetchrow(
        "SELECT refunded, order_id FROM payments WHERE order_no = $1", order_no
    )
    assert payment is not None
    return {
        "status": stored["status"],
        "hold": stored["hold"],
        "paid": stored["paid"],
        "refunded": stored["refunded"],
        "refunded of the payment": payment["refunded"],
        "is paired": payment["order_id"] == stored["id"],
        "waiting": await ledger.fetchval(
            "SELECT count(*) FROM waiting WHERE transaction_id = $1 OR order_no = $2",
            f"T-{order_no}",
            order_no,
        ),
        "events": await ledger.fetchval(
            "SELECT count(*) FROM order_events WHERE source = 'stripe:main' AND source_key LIKE $1",
            f"{order_no}/%",
        ),
    }


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batches=arrivals(NAMES))
async def test_all_ways_lead_to_the_same_state(
    gateway: Gateway, ledger: Database, kind: str, batches: list[list[str]]
) -> None:
    """What stands in one batch is sent at the same instant, the placement among it."""
    n = next(_serial)
    order_no = f"W-{n}"
    reported = events_of(kind, order_no)
    sent = due(n, order_no=order_no)
    for batch in batches:
        outcomes = await at_once(
            [
                submit(gateway, sent)
                if name == PLACED
                else tell(gateway, reported[name], f"{order_no}/{name}")
                for name in batch
            ]
        )
        assert not [each for each in outcomes if isinstance(each, BaseException)]
    for order_id in await gateway.maintenance.orders_to_settle(500):
        await gateway.intake.settle(order_id)
    assert await state(ledger, order_no) == {
        "status": "refunded",
        "hold": None,
        "paid": DUE,
        "refunded": DUE,
        "refunded of the payment": DUE,
        "is paired": True,
        "waiting": 0,
        "events": 5,
    }
