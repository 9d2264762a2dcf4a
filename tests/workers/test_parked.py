"""What waits for a person is known from the database, whatever was parked by which process."""

from typing import get_args

from prometheus_client import REGISTRY

from gateway.domain.following import ParkReason
from gateway.wiring import Gateway
from tests.domain.support import paid
from tests.stores.support import Database, tell
from tests.support.fakes.clock import ManualClock
from workers.parked import ParkedRows
from workers.rounds import Rounds


def open_rows(reason: str, provider: str = "stripe") -> float | None:
    labels = {"reason": reason, "provider": provider}
    return REGISTRY.get_sample_value("tidegate_parked_open", labels)


async def park(
    ledger: Database,
    reason: str,
    *,
    minutes: int,
    is_resolved: bool = False,
    source: str = "stripe:main",
) -> None:
    await ledger.execute(
        "INSERT INTO parked (id, source, source_key, reason, received_at, resolved_at) "
        "VALUES (gen_random_uuid(), $4, 'k', $1, now() - make_interval(mins => $2), "
        "CASE WHEN $3 THEN now() END)",
        reason,
        minutes,
        is_resolved,
        source,
    )


async def test_open_rows_are_counted_by_reason_and_provider_until_they_are_resolved(
    gateway: Gateway, ledger: Database
) -> None:
    for minutes in (5, 10, 90):
        await park(ledger, "amount_mismatch", minutes=minutes)
    await park(ledger, "amount_mismatch", minutes=600, is_resolved=True)
    await park(ledger, "amount_mismatch", minutes=1, source="adyen:shop")
    # An order that cannot be stored: no provider told of it.
    await park(ledger, "poison", minutes=1, source="placed:web")
    rounds = Rounds(task="parked", clock=ManualClock(), overdue_s=60.0)
    task = ParkedRows(maintenance=gateway.maintenance, rounds=rounds)
    await task.round()
    found = [open_rows("amount_mismatch"), open_rows("amount_mismatch", "adyen")]
    assert (*found, open_rows("poison", "")) == (3.0, 1.0, 1.0)
    oldest_s = REGISTRY.get_sample_value("tidegate_parked_oldest_seconds")
    assert oldest_s is not None
    assert 5400 <= oldest_s < 36_000
    await ledger.execute("UPDATE parked SET resolved_at = now()")
    await task.round()
    assert (open_rows("amount_mismatch"), open_rows("poison", "")) == (0.0, 0.0)
    assert REGISTRY.get_sample_value("tidegate_parked_oldest_seconds") == 0.0


async def test_events_that_wait_for_their_order_are_counted_by_provider(
    gateway: Gateway, ledger: Database
) -> None:
    def waiting(provider: str) -> float | None:
        return REGISTRY.get_sample_value("tidegate_unmatched_events", {"provider": provider})

    for n in range(3):
        source = "adyen:shop" if n == 2 else "stripe:main"
        event = paid(order_no=f"W-{n}", transaction_id=f"T-{n}")
        await tell(gateway, event, source=source, provider=source.partition(":")[0])
    await ledger.execute("UPDATE waiting SET received_at = now() - interval '1 hour'")
    rounds = Rounds(task="parked", clock=ManualClock(), overdue_s=60.0)
    task = ParkedRows(maintenance=gateway.maintenance, rounds=rounds)
    await task.round()
    assert (waiting("stripe"), waiting("adyen")) == (2.0, 1.0)
    oldest_s = REGISTRY.get_sample_value("tidegate_unmatched_events_oldest_seconds")
    assert oldest_s is not None
    assert 3600 <= oldest_s < 7200
    await ledger.execute("DELETE FROM waiting WHERE provider = 'adyen'")
    await task.round()
    assert (waiting("stripe"), waiting("adyen")) == (2.0, 0.0)


def test_every_reason_is_counted_from_the_start() -> None:
    """After a restart there are zeros, and no gap that looks like a metric that went away."""
    for reason in get_args(ParkReason):
        labels = {"reason": reason}
        assert REGISTRY.get_sample_value("tidegate_parked_total", labels) is not None
