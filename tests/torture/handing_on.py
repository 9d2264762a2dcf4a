"""What a target has received against the ledger's change feed, once all has settled."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from loadtest import handoff_checks
from loadtest.handoff import recorder
from loadtest.handoff.recorder import Receipt
from loadtest.verify import Check
from tests.torture.world import Receiver, World

#: Longer than the lease of what a killed or frozen worker had claimed.
_SETTLE_S = 60.0
_CHANGED = """
SELECT event_id, extract(epoch FROM changed_at)::float8 FROM order_changes
 WHERE extract(epoch FROM changed_at) BETWEEN $1 AND $2
"""


async def judged(world: World, receiver: Receiver) -> Sequence[Check]:
    """Wait until nothing is pending for a target; return the checks of what it has received."""
    settled_s = await handoff_checks.settle(world.database_url, receiver.name, within_s=_SETTLE_S)
    handed_on = await handoff_checks.read_from(world.database_url, receiver.name)
    receipts = recorder.read(receiver.file)
    repeats = len(receipts) - len({receipt.event_id for receipt in receipts})
    world.say(
        f"{receiver.name}: {len(receipts):,} deliveries of {len(handed_on.changes):,} changes, "
        f"{repeats:,} of them repeats; settled in {settled_s:.1f} s"
    )
    return named(receiver.name, handoff_checks.verify(handed_on, receipts))


def named(name: str, checks: Sequence[Check]) -> list[Check]:
    """Return the checks with the name of their target before that of each."""
    return [msgspec.structs.replace(check, name=f"{name}: {check.name}") for check in checks]


async def delays(
    world: World, receipts: Sequence[Receipt], *, began_s: float, ended_s: float
) -> list[float]:
    """Return the seconds from each change in this time to its first delivery, in rising order.

    Times in seconds since 1970. What never came took for ever.
    """
    first: dict[UUID, float] = {}
    for receipt in receipts:
        first.setdefault(receipt.event_id, receipt.at_s)
    async with world.admin() as connection:
        rows = await connection.fetch(_CHANGED, began_s, ended_s)
    return sorted(first.get(event_id, float("inf")) - at_s for event_id, at_s in rows)


def spread(delays_s: Sequence[float]) -> str:
    """Return the median, the 99th percentile and the highest of rising delays, as text."""
    if not delays_s:
        return "nothing changed"
    places = (len(delays_s) // 2, min(len(delays_s) - 1, int(0.99 * len(delays_s))), -1)
    p50, p99, most = (1e3 * delays_s[place] for place in places)
    return f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms, at most {most:,.0f} ms"
