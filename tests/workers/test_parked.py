"""What waits for a person is known from the database, whatever was parked by which process."""

from prometheus_client import REGISTRY

from gateway.wiring import Gateway
from tests.stores.support import Database
from tests.support.fakes.clock import ManualClock
from workers.parked import ParkedRows
from workers.rounds import Rounds


def open_rows(reason: str) -> float | None:
    return REGISTRY.get_sample_value("tidegate_parked_open", {"reason": reason})


async def park(ledger: Database, reason: str, *, minutes: int, is_resolved: bool = False) -> None:
    await ledger.execute(
        "INSERT INTO parked (id, source, source_key, reason, received_at, resolved_at) "
        "VALUES (gen_random_uuid(), 'test', 'k', $1, now() - make_interval(mins => $2), "
        "CASE WHEN $3 THEN now() END)",
        reason,
        minutes,
        is_resolved,
    )


async def test_open_rows_are_counted_by_reason_until_they_are_resolved(
    gateway: Gateway, ledger: Database
) -> None:
    for minutes in (5, 10, 90):
        await park(ledger, "amount_mismatch", minutes=minutes)
    await park(ledger, "amount_mismatch", minutes=600, is_resolved=True)
    await park(ledger, "poison", minutes=1)
    rounds = Rounds(task="parked", clock=ManualClock(), overdue_s=60.0)
    task = ParkedRows(maintenance=gateway.maintenance, rounds=rounds)
    await task.round()
    assert (open_rows("amount_mismatch"), open_rows("poison")) == (3.0, 1.0)
    oldest_s = REGISTRY.get_sample_value("tidegate_parked_oldest_seconds")
    assert oldest_s is not None
    assert 5400 <= oldest_s < 36_000
    await ledger.execute("UPDATE parked SET resolved_at = now()")
    await task.round()
    assert (open_rows("amount_mismatch"), open_rows("poison")) == (0.0, 0.0)
    assert REGISTRY.get_sample_value("tidegate_parked_oldest_seconds") == 0.0
