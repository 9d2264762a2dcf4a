"""What differs between an order as stored and as told: every field, by value."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.domain import orders, retelling
from tests.domain.support import due

STORED = due(1, order_no="W-1", attributes={"gift": 1.5})


def changed(**changes: Any) -> orders.Submission:
    return msgspec.structs.replace(STORED, **changes)


def moved(**changes: Any) -> orders.Submission:
    assert STORED.recipient is not None
    return changed(recipient=msgspec.structs.replace(STORED.recipient, **changes))


def priced(**changes: Any) -> orders.Submission:
    return changed(amounts=msgspec.structs.replace(STORED.amounts, **changes))


FIRST = STORED.items[0]
TOLD: dict[str, tuple[orders.Submission, tuple[str, ...]]] = {
    "nothing": (STORED, ()),
    "more zeros": (priced(goods=Decimal("100.0000"), payable=Decimal("1E+2")), ()),
    "a tax of nothing": (priced(tax=Decimal(0), tax_included=False), ()),
    "no attributes of none": (changed(attributes={"gift": 1.50}), ()),
    "the price": (priced(payable=Decimal(90), shop_discount=Decimal(10)), ("amounts",)),
    "the tax": (priced(tax=Decimal(10), tax_included=True), ("amounts",)),
    "a line": (changed(items=[msgspec.structs.replace(FIRST, quantity=2)]), ("items",)),
    "another line": (changed(items=[FIRST, FIRST]), ("items",)),
    "the currency": (changed(currency="EUR"), ("currency",)),
    "the buyer": (changed(buyer_id="17"), ("buyer_id",)),
    "when": (changed(placed_at=STORED.placed_at.replace(year=2025)), ("placed_at",)),
    "the name": (moved(name="Li Si"), ("recipient",)),
    "the phone": (moved(phone="13900000000"), ("recipient",)),
    "the street": (moved(street="Another Road 1"), ("recipient",)),
    "the city": (moved(city="Ningbo"), ("recipient",)),
    "no recipient": (changed(recipient=None), ("recipient",)),
    "a note": (changed(remark="ring twice"), ("remark",)),
    "no note": (changed(remark=None), ("remark",)),
    "an attribute": (changed(attributes={"gift": 2}), ("attributes",)),
    "several": (changed(currency="EUR", remark="x", buyer_id="17"),
                ("currency", "buyer_id", "remark")),
}  # fmt: skip


@pytest.mark.parametrize("case", list(TOLD))
def test_what_differs_is_named(case: str) -> None:
    told, expected = TOLD[case]
    assert retelling.differences(retelling.terms(told), retelling.terms(STORED)) == expected


@pytest.mark.parametrize("case", list(TOLD))
def test_what_cannot_be_opened_does_not_differ(case: str) -> None:
    told, expected = TOLD[case]
    sealed = msgspec.structs.replace(retelling.terms(STORED), private=None)
    hidden = ("recipient", "remark", "attributes")
    open_ones = tuple(name for name in expected if name not in hidden)
    assert retelling.differences(retelling.terms(told), sealed) == open_ones


def test_every_field_of_an_order_is_compared_or_is_its_identity() -> None:
    """A field that is added to the model must not change unseen."""
    named = {"currency", "amounts", "items", "buyer_id", "placed_at", "recipient"}
    named |= {"remark", "attributes"}
    identity = {"channel", "order_no", "is_test"}
    # What was paid, and where the platform has it, is no part of what was ordered.
    beside = {"payment", "platform_state"}
    assert set(orders.Submission.__struct_fields__) - beside == named | identity


@pytest.mark.parametrize("case", list(TOLD))
def test_the_digest_beside_money_is_the_same_whatever_it_costs(case: str) -> None:
    told, names = TOLD[case]
    is_same = retelling.digest_beside_money(told) == retelling.digest_beside_money(STORED)
    if case != "no attributes of none":
        assert is_same is (not set(names) - set(retelling.OF_MONEY))
