"""What a person may do to an order: the table of moves, and what parcels, money and holds say."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import action_rules, events
from gateway.domain.asking import ACTIONS, Action, Asked, Refusal
from gateway.domain.following import Done, FollowUp, OrderState
from gateway.domain.orders import Amounts
from tests.domain import histories
from tests.domain.machine import Machine
from tests.domain.support import NOW, follow_up, order_state, paid
from tests.domain.test_parcels import arrived, sent

LATER = NOW + timedelta(days=1)
AMOUNTS = Amounts(goods=Decimal(100), payable=Decimal(100))

#: An event of each action, on an order W-1 that T-1 may have paid.
EVENTS: dict[Action, events.Event] = {
    "ship": events.Shipped("W-1", "SF", "SF-9", LATER),
    "deliver": events.Delivered("W-1", LATER),
    "close": events.Closed("W-1", "cancelled", LATER),
    "reopen": events.Reopened("W-1", "they want it", LATER),
    "cancel-parcel": events.ParcelCancelled("W-1", "W-1-SF", "did not leave", LATER),
    "refund": events.RefundSucceeded(
        "W-1/0", "W-1", "B-1", Decimal(10), False, "CNY", LATER, is_apart=True
    ),
    "hold": events.HeldByPerson("W-1", "look", LATER),
    "release": events.Released("W-1", "fine", LATER),
    "make-up-payment": events.PaymentSucceeded("B-9", "W-1", Decimal(40), "CNY", LATER),
    "amend": events.Amended("W-1", "CNY", AMOUNTS, (), "", LATER),
    "address": events.AddressChanged("W-1", ("street",), LATER),
}


def action(name: Action, order: OrderState, key: str = "k-1", **more: Any) -> FollowUp:
    """Return an action on an order, as the handler makes it."""
    event = more.pop("event", EVENTS[name])
    digest = more.pop("digest", "d")
    asked = Asked(name, order.id, "Li Wei (key k)", "a reason", digest, **more)
    by = {"source": "action", "provider": "stripe", "trigger": "key:k"}
    return follow_up(event, key, asked=asked, raw=b"{}", **by)


def placed(*before: events.Event, **changes: Any) -> tuple[Machine, OrderState]:
    machine = Machine(**{k: changes.pop(k) for k in ("is_late", "takes_parts") if k in changes})
    machine.place(order_state(**changes))
    for event in before:
        machine.follow([follow_up(event)])
    (order,) = machine.orders.values()
    return machine, order


def done(machine: Machine, entry: FollowUp) -> Done:
    (found,) = machine.follow([entry])
    return found


def state(machine: Machine) -> tuple[object, ...]:
    return (
        *[(each.status, each.version, each.hold) for each in machine.orders.values()],
        len(machine.history), len(machine.outbox), len(machine.waiting), len(machine.parked),
    )  # fmt: skip


def test_each_action_has_an_event() -> None:
    assert tuple(EVENTS) == ACTIONS


@pytest.mark.parametrize("name", ACTIONS)
@settings(max_examples=150)
@given(seed=st.integers(0, 2**32))
def test_what_is_allowed_is_applied_and_what_is_refused_leaves_no_trace(
    name: Action, seed: int
) -> None:
    """Whatever happened to an order before: no action of a person is parked, and none waits."""
    machine, random = Machine(), Random(seed)
    for batch in histories.batches(random, histories.told_of(random)):
        if batch is None:
            machine.place(order_state())
        else:
            machine.follow([follow_up(event) for event in batch])
    (order,) = machine.orders.values()
    before, waiting = state(machine), len(machine.waiting)
    found = done(machine, action(name, order, is_trial=True))
    assert state(machine) == before, "a trial changes nothing"
    outcome = done(machine, action(name, order)).outcome
    assert outcome == ("applied" if found.outcome == "noted" else found.outcome)
    if outcome == "applied":
        (order,) = machine.orders.values()
        assert order.version > before[0][1], "it has another version"  # type: ignore[index]
        assert len(machine.waiting) <= waiting
    else:
        assert outcome in ("refused", "repeat")
        assert state(machine) == before


#: What a person is refused, and the words that say why.
REFUSED: list[tuple[Action, tuple[events.Event, ...], str]] = [
    ("ship", (), "ship is not possible while the order is pending_payment"),
    ("ship", (paid(), events.HeldByPerson("W-1", "look", NOW)), "held as by_person"),
    ("close", (paid(), sent("A")), "cancel its parcels first"),
    ("reopen", (paid(),), "reopen is not possible while the order is paid"),
    ("cancel-parcel", (paid(), sent("A")), "has no parcel W-1-SF"),
    ("cancel-parcel", (paid(), sent("W-1-SF"), arrived("W-1-SF")), "was delivered"),
    ("refund", (paid(),), "no payment W-1/0 is booked"),
    ("refund", (paid(Decimal(5), transaction_id="W-1/0"),), "5.00 CNY can go back"),
    ("make-up-payment", (paid(),), "while the order is paid"),
    ("make-up-payment", (paid(Decimal(70)),), "30.00 CNY is due"),
    ("make-up-payment", (paid(Decimal(30), transaction_id="B-9"),), "booked with 30.00 CNY"),
    ("address", (paid(), sent("A")), "while the order is shipped"),
]


@pytest.mark.parametrize(("name", "before", "words"), REFUSED)
def test_a_refusal_says_why_and_what_may_be_done(
    name: Action, before: tuple[events.Event, ...], words: str
) -> None:
    machine, order = placed(*before)
    found = done(machine, action(name, order))
    assert isinstance(found.refusal, Refusal)
    assert words in found.refusal.detail
    assert found.refusal.allowed == action_rules.allowed(order)


def test_what_was_due_and_is_paid_is_not_amended() -> None:
    machine, order = placed(paid())
    dearer = Amounts(goods=Decimal(120), payable=Decimal(120))
    event = events.Amended("W-1", "CNY", dearer, (), "", LATER)
    found = done(machine, action("amend", order, event=event))
    assert found.refusal is not None
    assert "only its lines" in found.refusal.detail
    assert done(machine, action("amend", order)).outcome == "applied", "other lines, same price"


def test_a_parcel_is_not_another_carriers() -> None:
    machine, order = placed(paid(), sent("SF-9"))
    assert done(machine, action("ship", order)).outcome == "repeat"
    other = events.Shipped("W-1", "YT", "SF-9", LATER)
    found = done(machine, action("ship", order, event=other))
    assert found.refusal is not None
    assert "with the carrier SF" in found.refusal.detail


# --- versions and keys ---


def test_another_version_is_refused_unless_it_is_so_already() -> None:
    machine, order = placed(paid())
    found = done(machine, action("hold", order, version=1))
    assert found.refusal is not None
    assert (found.refusal.kind, found.version) == ("version_changed", 2)
    assert done(machine, action("hold", order, version=2)).outcome == "applied"
    assert done(machine, action("hold", order, "k-2", version=2)).outcome == "repeat"


def test_a_repeat_gets_the_first_answer_and_another_request_none() -> None:
    machine, order = placed(paid())
    first = done(machine, action("hold", order))
    released = done(machine, action("release", order, "k-2"))
    assert (first.version, released.version) == (3, 4)
    again = done(machine, action("hold", order))
    assert (again.outcome, again.version, again.hold) == ("repeat", 3, "by_person")
    other = done(machine, action("close", order, digest="another"))
    assert other.refusal is not None
    assert other.refusal.kind == "key_reused"
    (order,) = machine.orders.values()
    assert (order.version, order.hold) == (4, None)


def test_who_and_why_are_in_the_history() -> None:
    machine, order = placed(paid())
    done(machine, action("ship", order, approved_by="Zhang San (key z)"))
    row = machine.history["action", "k-1"]
    assert (row.action, row.detail, row.trigger) == ("shipped", "a reason", "key:k")
    assert (row.actor, row.approved_by) == ("Li Wei (key k)", "Zhang San (key z)")


# --- clocks ---


def early(name: Action) -> events.Event:
    """Return the event of an action as a gateway sees it whose clock is a day late."""
    return msgspec.structs.replace(EVENTS[name], occurred_at=NOW - timedelta(days=1))


@pytest.mark.parametrize("names", [("hold", "release", "hold"), ("close", "reopen", "close")])
def test_the_last_word_counts_whatever_the_clocks_say(names: tuple[Action, ...]) -> None:
    machine, order = placed(paid())
    for n, name in enumerate(names):
        event = EVENTS[name] if n == 0 else early(name)
        found = done(machine, action(name, order, f"k-{n}", event=event))
        (order,) = machine.orders.values()
        assert (found.outcome, found.version) == ("applied", 3 + n)
        assert (order.hold is None) == (name in ("release", "reopen"))


def test_a_parcel_that_was_taken_back_may_have_left_before_that() -> None:
    machine, order = placed(paid())
    event = events.Shipped("W-1", "SF", "W-1-SF", NOW)
    done(machine, action("ship", order, "k-1", event=event))
    done(machine, action("cancel-parcel", order, "k-2"))
    found = done(machine, action("ship", order, "k-3", event=event))
    assert (found.outcome, found.status) == ("applied", "shipped")


# --- the payment of another order, and one that is told late ---


def test_the_provider_tells_late_of_a_payment_that_was_made_up() -> None:
    machine, order = placed()
    whole = events.PaymentSucceeded("T-1", "W-1", Decimal(100), "CNY", NOW)
    made_up = action("make-up-payment", order, event=whole)
    assert done(machine, made_up).status == "paid"
    for late in (paid(), paid(order_no="")):
        assert done(machine, follow_up(late)).outcome == "repeat"
    (order,) = machine.orders.values()
    assert (order.paid, order.hold, machine.parked) == (Decimal(100), None, [])


def test_money_of_another_order_is_not_refunded_here() -> None:
    machine, order = placed()
    machine.place(order_state(order_no="W-2"))
    machine.follow([follow_up(paid(order_no="W-2", transaction_id="W-1/0"))])
    for name in ("refund", "make-up-payment"):
        event: Any = EVENTS[name]
        if name == "make-up-payment":
            event = events.PaymentSucceeded("W-1/0", "W-1", Decimal(40), "CNY", NOW)
        found = done(machine, action(name, order, event=event))
        assert found.refusal is not None
        assert "another order" in found.refusal.detail


# --- journaled ---


def test_what_was_journaled_and_is_not_allowed_is_parked_and_visible() -> None:
    machine, order = placed(paid(), sent("A"), is_late=True)
    found = done(machine, action("address", order))
    assert (found.outcome, found.reason) == ("parked", "action_refused")
    assert [row.reason for row in machine.parked] == ["action_refused"]
    row = machine.history["action", "k-1"]
    assert (row.outcome, row.actor) == ("parked", "Li Wei (key k)")
    again = done(machine, action("address", order))
    assert again.refusal is not None, "and a repeat is not told that it was done"
    assert (again.refusal.kind, again.version) == ("not_allowed", order.version)


EARLY: list[tuple[Action, Action, Callable[[OrderState], bool]]] = [
    ("release", "hold", lambda order: order.hold is None),
    ("cancel-parcel", "ship", lambda order: order.status == "paid"),
]


@pytest.mark.parametrize(("last", "first", "is_right"), EARLY)
def test_two_actions_that_were_journaled_may_come_in_any_order(
    last: Action, first: Action, is_right: Callable[[OrderState], bool]
) -> None:
    machine, order = placed(paid(), is_late=True)
    moves: dict[Action, events.Event] = {
        "hold": events.HeldByPerson("W-1", "look", LATER - timedelta(minutes=1)),
        "ship": events.Shipped("W-1", "SF", "W-1-SF", LATER - timedelta(minutes=1)),
    }
    machine.follow([action(last, order, "k-1")])
    machine.follow([action(first, order, "k-2", event=moves[first])])
    (order,) = machine.orders.values()
    assert is_right(order)
    assert (machine.waiting, machine.parked) == ({}, [])
