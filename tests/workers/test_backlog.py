"""What has waited long: the dispatcher gets through it, whatever waits for what."""

import functools

from gateway.stores.postgres.deliveries import Attempt, Deliveries
from gateway.wiring import Gateway
from tests.domain.support import due, paid
from tests.stores.support import Database, submit, tell
from tests.workers.handoff import Receiver, opened, relay, targets
from tests.workers.test_dispatcher import staged
from workers.attempts_log import AttemptsLog

LESS_URGENT = "UPDATE deliveries SET priority = 5 WHERE topic = 'order.placed'"
ALL_DUE = "UPDATE deliveries SET due_at = now() - interval '1 second' WHERE claimed_by IS NULL"


async def test_what_an_urgent_event_waits_for_is_as_urgent(
    gateway: Gateway, ledger: Database
) -> None:
    to = targets(opened(Receiver()))
    relaying = relay(gateway, to)
    await relaying.round()
    await submit(gateway, due(1, order_no="W-1"))
    await submit(gateway, due(2, order_no="W-2"))
    await relaying.round()
    # Of one order with what waits already, of the other with what is staged together with it.
    await tell(gateway, paid(order_no="W-1", transaction_id="T-1"), "evt_1")
    await submit(gateway, due(3, order_no="W-3"))
    await tell(gateway, paid(order_no="W-3", transaction_id="T-3"), "evt_3")
    await relaying.round()
    found = await ledger.fetch(
        "SELECT o.order_no, d.topic, d.priority FROM deliveries d"
        " JOIN orders o ON o.id = d.order_id ORDER BY o.order_no, d.position"
    )
    assert [tuple(row) for row in found] == [
        ("W-1", "order.placed", 1),
        ("W-1", "order.paid", 1),
        ("W-2", "order.placed", 5),
        ("W-3", "order.placed", 1),
        ("W-3", "order.paid", 1),
    ]


async def test_more_waiting_urgent_events_than_are_looked_at_at_once_hold_up_nothing(
    gateway: Gateway, ledger: Database
) -> None:
    """As often as they come due before anything was delivered."""
    to = targets(opened(Receiver()))
    await staged(gateway, to, *range(1, 7))
    await ledger.execute(LESS_URGENT)
    store = Deliveries(pool=gateway.stores.hand_off)
    claimed = set()
    for _ in range(6):
        await ledger.execute(ALL_DUE)
        claim = await store.claim("wms", gateway.new_id(), limit=2, lease_s=60)
        claimed |= {each.order_id for each in claim.deliveries}
    assert len(claimed) == 6


async def test_an_attempt_that_cannot_be_stored_keeps_no_other_from_it(
    gateway: Gateway, ledger: Database
) -> None:
    """Else all of its batch would be delivered again, and again."""
    to = targets(opened(Receiver(), topics=["order.paid"]))
    await staged(gateway, to, *range(1, 8))
    store = Deliveries(pool=gateway.stores.hand_off)
    claimant = gateway.new_id()
    claim = await store.claim("wms", claimant, limit=9, lease_s=60)
    log = AttemptsLog(
        target="wms",
        claimant=claimant,
        finish=functools.partial(store.finish, is_accepting=False),
        on_accepted=lambda: None,
        clock=gateway.clock,
        waiting_max=9,
    )
    now = gateway.clock.now()
    for n, delivery in enumerate(claim.deliveries):
        # No column of text takes a NUL.
        log.add(Attempt(delivery, 2, now, 5, "delivered", 200, "\x00" if n == 4 else ""))
    await log.drain()
    left = await ledger.fetch("SELECT event_id FROM deliveries")
    assert [event_id for (event_id,) in left] == [claim.deliveries[4].event_id]
