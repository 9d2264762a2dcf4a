"""The comparison of the feed with what a target received can fail, in every way it has to."""

from collections import Counter
from collections.abc import Callable
from uuid import UUID

import msgspec
import pytest

from loadtest import handoff_checks
from loadtest.handoff.recorder import Receipt
from loadtest.handoff_checks import Change, HandedOn

RELAYED = "changes that are not relayed"
FEED = "each version of an order in the feed, once and in order"
DELIVERED = "events delivered at least once"
ORDER = "events out of order at their first delivery"
STRANGE = "deliveries of an event under another id or topic"
PENDING = "deliveries that are pending"
DEAD = "dead letters"
LOGGED = "events with one attempt that ended them"

A, B = UUID(int=1), UUID(int=2)
#: The versions of two orders, interleaved.
CHANGES = [
    Change(1, A, 1, "order.placed", UUID(int=11)),
    Change(2, B, 1, "order.placed", UUID(int=21)),
    Change(3, A, 2, "order.paid", UUID(int=12)),
    Change(4, A, 3, "order.shipped", UUID(int=13)),
    Change(5, B, 2, "order.paid", UUID(int=22)),
]


def ledger() -> HandedOn:
    return HandedOn(
        changes=list(CHANGES),
        versions={A: 3, B: 2},
        attempts=Counter({(change.event_id, "delivered"): 1 for change in CHANGES}),
        pending=[],
        dead=[],
        staged=0,
    )


def receipt(change: Change, *, version: int = 0) -> Receipt:
    return Receipt(
        id=str(change.event_id),
        event_id=change.event_id,
        topic=change.topic,
        order_id=change.order_id,
        version=version or change.version,
        status="paid",
        at_s=0.0,
    )


def received() -> list[Receipt]:
    return [receipt(change) for change in CHANGES]


def failing(handed_on: HandedOn, receipts: list[Receipt], **options: list[str]) -> set[str]:
    checks = handoff_checks.verify(handed_on, receipts, **options)
    return {check.name for check in checks if not check.ok}


def test_nothing_is_reported_where_all_is_well() -> None:
    assert failing(ledger(), received()) == set()


def test_repeats_are_fine_also_late_and_out_of_order() -> None:
    receipts = received()
    assert failing(ledger(), [*receipts, receipts[0], receipts[3], receipts[2]]) == set()


def test_the_order_may_be_ahead_of_its_event() -> None:
    receipts = received()
    receipts[0] = receipt(CHANGES[0], version=2)
    assert failing(ledger(), receipts) == set()


def test_a_lost_event_is_reported() -> None:
    assert failing(ledger(), received()[:-1]) == {DELIVERED}


def test_an_event_out_of_turn_is_reported() -> None:
    receipts = received()
    receipts[2], receipts[3] = receipts[3], receipts[2]
    assert failing(ledger(), receipts) == {ORDER}


def test_a_version_that_goes_back_is_reported() -> None:
    receipts = received()
    receipts[0] = receipt(CHANGES[0], version=3)
    assert failing(ledger(), receipts) == {ORDER}


def test_two_orders_may_overtake_each_other() -> None:
    receipts = received()
    assert failing(ledger(), [*receipts[1::3], receipts[0], *receipts[2:4]]) == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda each: msgspec.structs.replace(each, id="other"),
        lambda each: msgspec.structs.replace(each, topic="order.closed"),
        lambda each: msgspec.structs.replace(each, order_id=B),
        lambda each: msgspec.structs.replace(each, version=0),
    ],
)
def test_a_delivery_that_says_something_else_is_reported(
    change: Callable[[Receipt], Receipt],
) -> None:
    assert STRANGE in failing(ledger(), [*received(), change(received()[0])])


def test_a_delivery_of_nothing_is_reported() -> None:
    strange = receipt(Change(9, A, 4, "order.closed", UUID(int=99)))
    assert failing(ledger(), [*received(), strange]) == {STRANGE}


def test_a_version_that_is_missing_in_the_feed_is_reported() -> None:
    handed_on = ledger()
    del handed_on.changes[2]
    assert FEED in failing(handed_on, received())
    handed_on = ledger()
    handed_on.changes.append(Change(6, A, 3, "order.shipped", UUID(int=14)))
    assert FEED in failing(handed_on, received())


def test_what_is_left_is_reported() -> None:
    handed_on = ledger()
    handed_on.staged, handed_on.pending, handed_on.dead = 2, [UUID(int=11)], [UUID(int=12)]
    assert failing(handed_on, received()) == {RELAYED, PENDING, DEAD}


def test_an_event_that_was_withdrawn_need_not_be_delivered() -> None:
    handed_on = ledger()
    last = CHANGES[-1].event_id
    handed_on.attempts = handed_on.attempts - Counter({(last, "delivered"): 1})
    assert failing(handed_on, received()) == {LOGGED}
    handed_on.attempts[last, "withdrawn"] = 1
    assert failing(handed_on, received()[:-1]) == set()


def test_an_event_that_was_delivered_twice_by_the_log_is_reported() -> None:
    handed_on = ledger()
    handed_on.attempts[CHANGES[0].event_id, "delivered"] = 2
    assert failing(handed_on, received()) == {LOGGED}


def test_topics_that_are_not_subscribed_need_not_come() -> None:
    handed_on = ledger()
    paid = [each for each in CHANGES if each.topic == "order.paid"]
    handed_on.attempts = Counter({(change.event_id, "delivered"): 1 for change in paid})
    receipts = [receipt(change) for change in paid]
    assert failing(handed_on, receipts, topics=["order.paid"]) == set()
    assert failing(handed_on, receipts[:1], topics=["order.paid"]) == {DELIVERED}
