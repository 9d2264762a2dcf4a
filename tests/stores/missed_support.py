"""Orders that a target was told of, and did or did not accept, without a dispatcher."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from gateway.domain.missed import AcceptingTarget, MissedOrder
from gateway.stores.postgres.missed_orders import MissedOrders, Wanted
from gateway.wiring import Gateway
from tests.domain.support import due, paid
from tests.stores.support import Database, submit, tell

WMS = AcceptingTarget("wms", timedelta(minutes=10))


async def told(
    gateway: Gateway,
    ledger: Database,
    n: int = 1,
    *,
    target: str = "wms",
    age_s: float = 700,
    **changes: Any,
) -> UUID:
    """Store the paid order ``W-n``; the target was told so ``age_s`` seconds ago."""
    placed = await submit(gateway, due(n, order_no=f"W-{n}", **changes))
    payment = paid(order_no=f"W-{n}", transaction_id=f"T-{n}")
    await tell(gateway, payment, channels=("web", "app"))
    await told_again(ledger, placed.id, target=target, age_s=age_s)
    return placed.id


async def told_again(
    ledger: Database, order_id: UUID, *, target: str = "wms", age_s: float = 700
) -> None:
    """Do as the relay does with the latest ``order.paid`` of an order."""
    await ledger.execute(
        "INSERT INTO awaiting_acceptance (order_id, target, event_id, position, version, since) "
        "SELECT order_id, $2, id, position, version, now() - make_interval(secs => $3) "
        "FROM outbox WHERE order_id = $1 AND topic = 'order.paid' ORDER BY position DESC LIMIT 1 "
        "ON CONFLICT (order_id, target) DO UPDATE SET event_id = excluded.event_id, "
        "position = excluded.position, since = excluded.since",
        order_id,
        target,
        age_s,
    )


async def delivery(ledger: Database, *, is_dead: bool = False, reason: str = "503") -> None:
    """Give every awaited event a delivery that is pending, or a dead letter."""
    await ledger.execute(
        "INSERT INTO deliveries (target, event_id, position, order_id, version, topic, priority, "
        "occurred_at, attempts, due_at, dead_at, reason) "
        "SELECT target, event_id, position, order_id, version, 'order.paid', 1, since, 3, "
        "now() + interval '1 hour', CASE WHEN $1 THEN now() END, $2 FROM awaiting_acceptance",
        is_dead,
        reason,
    )


async def attempted(ledger: Database, outcome: str, code: int | None, reason: str) -> None:
    """Log an attempt of every awaited event."""
    await ledger.execute(
        "INSERT INTO delivery_attempts (target, event_id, order_id, topic, version, attempt, "
        "started_at, took_ms, outcome, status_code, reason) SELECT target, event_id, order_id, "
        "'order.paid', version, 3, now(), 5, $1, $2, $3 FROM awaiting_acceptance",
        outcome,
        code,
        reason,
    )


async def missed(gateway: Gateway, *targets: AcceptingTarget, **wanted: Any) -> list[MissedOrder]:
    """Return the missed orders of these targets; of the warehouse, unless some are named."""
    store = MissedOrders(pool=gateway.stores.primary)
    return await store.page(targets or (WMS,), Wanted(**wanted), datetime.now(UTC))


async def numbers(gateway: Gateway, *targets: AcceptingTarget, **wanted: Any) -> list[str]:
    """Return their order numbers."""
    return [each.order_no for each in await missed(gateway, *targets, **wanted)]
