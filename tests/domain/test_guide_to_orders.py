"""What the guide to orders and the runbook of held and parked say is what the code does."""

import re
from pathlib import Path
from typing import get_args

import pytest

from gateway.domain import events
from gateway.domain.channels import ChannelPolicy
from gateway.domain.following import OrderState, ParkReason
from gateway.domain.holds import HOLDS, hold_of
from gateway.domain.orders import Hold
from gateway.domain.transitions import TRANSITIONS
from gateway.runtime.settings import Settings
from tests.domain.folding_support import apply
from tests.domain.support import (
    NOW,
    closed,
    delivered,
    order_state,
    payment_state,
    refunded,
)
from tests.domain.test_folding import amended
from tests.domain.test_folding_money_back import disputed
from tests.domain.test_parcels import arrived, sent

OPS = Path(__file__).resolve().parents[2] / "ops"
ORDERS = (OPS / "guides" / "orders.md").read_text("utf-8")
RUNBOOK = (OPS / "runbooks" / "held-and-parked.md").read_text("utf-8")
ACCOUNTS = (OPS / "guides" / "how-to" / "accounts-and-channels.md").read_text("utf-8")


def rows(page: str, head: str) -> list[list[str]]:
    """Return the cells of the table whose first row begins with ``head``."""
    (found,) = re.findall(rf"^\| {re.escape(head)}.*\n\|[-|]+\|\n((?:\|.*\|\n)+)", page, re.M)
    return [
        [cell.strip() for cell in row.strip("|").split(" | ")]
        for row in found.replace("|\n", " |\n").splitlines()
    ]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_table_of_moves_is_the_codes() -> None:
    told = {
        (status, named(event)[0]): named(to)[0]
        for from_, event, to in rows(ORDERS, "from | event")
        for status in named(from_)
    }
    told |= {
        (status, named(action)[0]): (named(to) or [status])[0]
        for from_, action, to in rows(ORDERS, "from | action")
        for status in named(from_)
    }
    assert told == TRANSITIONS


def test_the_table_of_holds_is_the_codes() -> None:
    told = {named(hold)[0]: (stops, ends) for hold, _, stops, ends in rows(ORDERS, "hold | reason")}
    says = {"hand_off": "hand-off", "shipping": "shipping"}
    assert told == {
        hold: (", ".join(says[stop] for stop in sorted(rule.stops)) or "nothing", rule.ended_by)
        for hold, rule in HOLDS.items()
    }
    assert list(told) == list(HOLDS), "the gravest first"


def test_a_person_knows_what_to_do_about_each_hold_and_each_reason() -> None:
    assert [named(hold)[0] for hold, _ in rows(RUNBOOK, "hold | what to do")] == list(HOLDS)
    assert set(HOLDS) == set(get_args(Hold))
    reasons = [named(reason)[0] for reason, *_ in rows(RUNBOOK, "reason | what it is")]
    assert reasons == list(get_args(ParkReason))


def _in_part() -> OrderState:
    """An order of which one parcel left."""
    order = order_state("paid")
    assert apply(sent("A"), order).outcome == "applied"
    return order


def _say(event: events.Event, order: OrderState) -> str:
    payment = payment_state("applied")
    step = apply(event, order, payment)
    return order.status if step.outcome == "applied" else step.outcome


#: What the guide says of an order of which a part was shipped, in its order.
IN_PART: list[tuple[str, events.Event, str]] = [
    ("another parcel", sent("B", 2), "shipped"),
    ("a parcel arrives", arrived("A"), "completed"),
    ("a partial refund", refunded("30"), "shipped"),
    ("a refund of all", refunded("100"), "refunded"),
    ("`cancelled`", closed("cancelled"), "waiting"),
    ("told anew", amended("90"), "parked"),
    ("a dispute", disputed("opened"), "shipped"),
]


@pytest.mark.parametrize(("event", "said", "comes_to"), IN_PART)
def test_what_a_partly_shipped_order_may_do(event: str, said: events.Event, comes_to: str) -> None:
    assert _say(said, _in_part()) == comes_to


def test_what_a_partly_shipped_order_may_do_is_all_tried() -> None:
    told = [event for event, _ in rows(ORDERS, "event | what happens")]
    assert len(told) == len(IN_PART)
    for cell, (event, _, _) in zip(told, IN_PART, strict=True):
        assert cell.startswith(event)


def test_a_parcel_waits_while_a_dispute_is_open() -> None:
    order, payment = _in_part(), payment_state("applied")
    apply(disputed("opened"), order, payment)
    assert (order.hold, hold_of(order, [payment])) == ("disputed", "disputed")
    assert apply(sent("B"), order, payment).outcome == "waiting"


def test_only_the_shops_word_is_final() -> None:
    one, two = _in_part(), _in_part()
    for order, event in ((one, arrived("A")), (two, delivered())):
        apply(event, order)
        apply(sent("B", 9), order)
    assert (one.status, two.status) == ("shipped", "completed")


def test_paid_on_delivery_is_completed_unpaid() -> None:
    order = order_state()
    for event in (events.PaysOnDelivery("W-1", NOW), sent("A"), arrived("A")):
        apply(event, order)
    assert (order.status, order.paid_at) == ("completed", None)


def test_the_channels_of_a_file_without_any_are_named() -> None:
    default = [channel.name for channel in Settings(database_url="postgresql://").channels]
    (sentence,) = re.findall(r"Without `\[\[channels\]\]` there are (.*?)\. ", ACCOUNTS)
    assert named(sentence) == default


def test_every_rule_of_a_channel_is_explained() -> None:
    explained = {key for cell, _ in rows(ACCOUNTS, "key | what it decides") for key in named(cell)}
    assert explained == set(ChannelPolicy.__struct_fields__)


def test_refused_at_the_door_is_closed() -> None:
    order = order_state()
    for event in (events.PaysOnDelivery("W-1", NOW), sent("A"), closed("cancelled")):
        assert apply(event, order).outcome == "applied"
    assert order.status == "closed"
