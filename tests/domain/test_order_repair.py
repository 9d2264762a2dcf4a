"""Of an order whose shape is wrong, the rules still apply to the rest."""

from typing import Any

import pytest

from gateway.domain import order_repair, orders, validation
from gateway.domain.errors import Fault, Invalid
from loadtest.orders import order
from tests.domain.support import NOW


def beside(sent: Any, *wrong: str) -> list[str]:
    """Return the fields that the rules reject beside those of a wrong shape."""
    shape = [Fault(field, "is wrong") for field in wrong]
    rest = order_repair.repaired(sent, shape)
    assert rest is not None
    try:
        validation.check(rest, channels={"web"}, now=NOW)
    except Invalid as exc:
        return [fault.field for fault in order_repair.independent(exc.faults, shape)]
    return []


def sent(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = order(1, placed_at=NOW.isoformat())
    for name, value in changes.items():
        made[name] = made[name] | value if isinstance(value, dict) else value
    return made


@pytest.mark.parametrize(
    ("changes", "wrong", "found"),
    [
        ({"order_no": 7}, ["order_no"], []),
        ({"order_no": 7, "currency": "XXX"}, ["order_no"], ["currency"]),
        ({"order_no": 7, "channel": "x", "buyer_id": "\0"}, ["order_no"], ["channel", "buyer_id"]),
        # Nothing is said of what was replaced, nor of what is inside it.
        ({"channel": 7}, ["channel"], []),
        ({"recipient": 7, "buyer_id": "\0"}, ["recipient"], ["buyer_id"]),
        ({"order_no": 7, "recipient": None}, ["order_no"], ["recipient"]),
        ({"order_no": 7, "recipient": {"phone": None}}, ["order_no"], ["recipient.phone"]),
        ({"recipient": {"country": None, "name": None}}, ["recipient.country"], []),
        ({"items": 7, "currency": "XXX"}, ["items"], ["currency"]),
        # Nor of what depends on it: decimals on the currency, a telephone number on the country.
        ({"currency": 7, "amounts": {"goods": "0.001"}}, ["currency"], []),
        ({"recipient": {"country": 7, "phone": "12345", "city": ""}}, ["recipient.country"], []),
        # Sums are unknown where a part of them is.
        ({"amounts": {"payable": None}}, ["amounts.payable"], []),
        ({"amounts": {"tax": []}}, ["amounts.tax"], []),
        ({"amounts": {"tax_included": "yes", "tax": "7.77"}}, ["amounts.tax_included"], []),
        ({"amounts": {"payable": None, "freight": "-1"}}, ["amounts.payable"], ["amounts.freight"]),
        ({"unknown": 1, "amounts": {"tip": "1"}, "channel": "x"}, ["unknown", "amounts.tip"],
         ["channel"]),
    ],
)  # fmt: skip
def test_the_rules_apply_to_the_rest(
    changes: dict[str, Any], wrong: list[str], found: list[str]
) -> None:
    assert beside(sent(**changes), *wrong) == found


def test_a_wrong_line_makes_no_sum_and_no_discount_wrong() -> None:
    made = sent()
    made["items"][0] |= {"quantity": "2", "discount": "1000000"}
    assert beside(made, "items[0].quantity") == []
    made["items"][0]["sku"] = "\0"
    assert beside(made, "items[0].quantity") == ["items[0].sku"]
    made["items"].append([])
    n = len(made["items"]) - 1
    assert beside(made, "items[0].quantity", f"items[{n}]") == ["items[0].sku"]


@pytest.mark.parametrize("plain", [None, 7, [], "order"])
def test_there_is_no_rest_of_what_is_no_object(plain: Any) -> None:
    assert order_repair.repaired(plain, [Fault("body", "must be an object")]) is None


@pytest.mark.parametrize(
    "field", ["", ".", "items[9].sku", "items[x].sku", "items[0].sku.x", "a.b", "[0]"]
)
def test_a_field_that_cannot_be_found_replaces_nothing(field: str) -> None:
    made = sent()
    assert order_repair.repaired(made, [Fault(field, "?")]) == order_repair.repaired(made, [])


def test_an_empty_object_becomes_an_order_when_all_is_missing() -> None:
    missing = [Fault(name, "is missing") for name in order_repair._ORDER]
    assert isinstance(order_repair.repaired({}, missing), orders.Submission)
