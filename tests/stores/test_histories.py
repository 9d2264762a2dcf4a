"""The real statements and the ledger without a database come to the same, whatever is told."""

import asyncio
from random import Random
from typing import Any

import msgspec
import pytest

from gateway.domain.following import Acceptance, FollowUp
from gateway.wiring import Gateway
from tests.domain import histories
from tests.domain.machine import Machine
from tests.domain.support import due, follow_up, order_state
from tests.stores.support import Database, order, submit

_ORDER = (
    "status", "version", "hold", "paid", "refunded", "paid_at", "shipped_at", "completed_at",
    "closed_at", "carrier", "tracking_no", "closed_cause", "pays_on_delivery", "is_delivered",
    "payable", "held_at", "released_at", "reopened_at", "accepted_at",
)  # fmt: skip
_MONEY = """
    SELECT p.standing, p.amount, p.refunded, p.order_id IS NOT NULL AS is_paired,
           p.is_provisional,
           ARRAY(
               SELECT n.name FROM payment_names n WHERE n.payment_id = p.id
               UNION
               SELECT p.transaction_id
           ) AS names,
           ARRAY(
               SELECT (r.refund_no, r.amount, r.is_total, r.is_failed)::text
                 FROM refunds r WHERE r.payment_id = p.id ORDER BY 1
           ) AS refunds,
           ARRAY(
               SELECT (d.dispute_no, d.amount, d.state)::text
                 FROM disputes d WHERE d.payment_id = p.id ORDER BY 1
           ) AS disputes
      FROM payments p
"""


async def in_sql(ledger: Database, order_no: str) -> dict[str, Any]:
    stored = await order(ledger, order_no)
    sent = "SELECT carrier, tracking_no, parcel_no, delivered_at, cancelled_at FROM parcels"
    return {
        "order": {name: stored[name] for name in _ORDER},
        "acceptances": _acceptances(stored["acceptances"]),
        "payments": sorted(tuple(map(_plain, row)) for row in await ledger.fetch(_MONEY)),
        "parcels": sorted(tuple(map(str, row)) for row in await ledger.fetch(sent)),
        "waiting": await ledger.fetchval("SELECT count(*) FROM waiting"),
        "parked": sorted(
            row[0] for row in await ledger.fetch("SELECT reason FROM parked WHERE reason <> 'x'")
        ),
        "topics": [
            row[0]
            for row in await ledger.fetch(
                "SELECT topic FROM outbox WHERE topic <> 'order.placed' ORDER BY version"
            )
        ],
    }


def in_memory(machine: Machine) -> dict[str, Any]:
    (state,) = machine.orders.values()
    return {
        "order": {name: getattr(state, name) for name in _ORDER},
        "acceptances": state.acceptances,
        # Of two that turn out to be one payment, either may be the one that counts.
        "payments": sorted(
            (
                each.standing, each.amount, each.refunded,
                each.order_id is not None, each.is_provisional,
                sorted({each.transaction_id, *each.names}),
                sorted(
                    f"({told.refund_no},{told.amount:.4f},{_bool(told.is_total)},"
                    f"{_bool(told.is_failed)})"
                    for told in each.refunds
                ),
                sorted(f"({d.dispute_no},{d.amount:.4f},{d.state})" for d in each.disputes),
            )
            for each in machine.payments.values()
        ),
        "parcels": sorted(
            (
                each.carrier, each.tracking_no, each.parcel_no, str(each.delivered_at),
                str(each.cancelled_at),
            )
            for each in state.parcels
        ),
        "waiting": len(machine.waiting),
        "parked": sorted(row.reason for row in machine.parked),
        "topics": [row.topic for row in machine.outbox],
    }  # fmt: skip


def _acceptances(stored: str | None) -> tuple[Acceptance, ...]:
    return () if stored is None else msgspec.json.decode(stored, type=tuple[Acceptance, ...])


def _bool(value: bool) -> str:
    return "t" if value else "f"


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(25))
async def test_what_the_statements_make_of_a_history_is_what_the_fold_does(
    seed: int, gateway: Gateway, ledger: Database
) -> None:
    random = Random(seed)
    machine = Machine()
    keys: dict[int, str] = {}
    for batch in histories.batches(random, histories.told_of(random)):
        if batch is None:
            placed = await submit(gateway, due(1, order_no="W-1"))
            machine.place(order_state(id=placed.id))
            continue
        told: list[FollowUp] = []
        for event in batch:
            key = keys.setdefault(id(event), f"evt_{len(keys)}")
            told.append(follow_up(event, key, id=gateway.new_id()))
        machine.follow(told)
        await asyncio.gather(*[gateway.committer.follow(each) for each in told])
    assert await in_sql(ledger, "W-1") == in_memory(machine)
