"""What a target has received against the ledger's change feed, once all has settled."""

from collections.abc import Sequence

import msgspec

from loadtest import handoff_checks
from loadtest.handoff import recorder
from loadtest.verify import Check
from tests.torture.world import Receiver, World

#: Longer than the lease of what a killed or frozen worker had claimed.
_SETTLE_S = 60.0


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
    checks = handoff_checks.verify(handed_on, receipts)
    return [
        msgspec.structs.replace(check, name=f"{receiver.name}: {check.name}") for check in checks
    ]
