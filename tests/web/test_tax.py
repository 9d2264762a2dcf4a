"""Orders with tax, from their submission to all that shows them."""

import csv
import io
import json
from typing import Any

import pytest

from tests.web.support import Wire, order


@pytest.fixture
def wire(both_paths: Wire) -> Wire:
    return both_paths


def taxed(**amounts: Any) -> dict[str, Any]:
    """Return an order of two lines, 100.00 together, from a shop in the US."""
    lines = [
        {"sku": "TEA-1", "name": "Tea", "quantity": 2, "unit_price": "40.00", "tax": "6.60"},
        {"sku": "CUP-1", "name": "Cup", "quantity": 1, "unit_price": "20.00"},
    ]
    return order(currency="USD", items=lines, amounts={"freight": "0"} | amounts)


async def shown(wire: Wire, sent: dict[str, Any]) -> dict[str, Any]:
    """Submit, and return the order as it is read then."""
    placed = await wire.submit(json.dumps(sent).encode())
    assert placed.status == 201, placed
    read: dict[str, Any] = (await wire.ask("GET", placed.headers["location"])).json
    return read


async def test_tax_that_is_added_is_stored_and_shown(wire: Wire) -> None:
    sent = taxed(goods="100.00", freight="5.00", tax="7.00", payable="112.00")
    read = await shown(wire, sent)
    assert read["amounts"] == {
        "goods": "100.00",
        "shop_discount": "0.00",
        "platform_subsidy": "0.00",
        "freight": "5.00",
        "tax": "7.00",
        "tax_included": False,
        "payable": "112.00",
        "paid": "0.00",
        "refunded": "0.00",
        "owed": "0.00",
    }
    assert [item["tax"] for item in read["items"]] == ["6.60", "0.00"]


async def test_tax_that_the_prices_contain_is_not_added(wire: Wire) -> None:
    read = await shown(
        wire, taxed(goods="100.00", tax="15.97", tax_included=True, payable="100.00")
    )
    amounts = read["amounts"]
    assert (amounts["tax"], amounts["tax_included"], amounts["payable"]) == (
        "15.97",
        True,
        "100.00",
    )


async def test_an_order_without_tax_says_so(wire: Wire) -> None:
    read = await shown(wire, order())
    assert (read["amounts"]["tax"], read["amounts"]["tax_included"]) == ("0.00", False)
    assert {item["tax"] for item in read["items"]} == {"0.00"}


async def test_tax_is_in_the_export(wire: Wire) -> None:
    sent = taxed(goods="100.00", tax="6.60", payable="106.60")
    await shown(wire, sent)
    answer = await wire.ask("GET", f"/v1/orders/export?order_no={sent['order_no']}")
    (row,) = csv.DictReader(io.StringIO(answer.body.decode(), newline=""))
    assert (row["tax"], row["tax_included"], row["payable"]) == ("6.60", "false", "106.60")
    assert [item["tax"] for item in json.loads(row["items"])] == ["6.60", "0.00"]


async def test_a_repeat_that_spells_out_that_there_is_no_tax_is_one(wire: Wire) -> None:
    sent = order()
    first = await wire.submit(json.dumps(sent).encode())
    sent["amounts"] |= {"tax": "0.00", "tax_included": False}
    again = await wire.submit(json.dumps(sent).encode())
    assert (again.status, again.body) == (200, first.body)


async def test_another_tax_is_another_order(wire: Wire) -> None:
    sent = taxed(goods="100.00", tax="8.00", payable="108.00")
    await shown(wire, sent)
    sent["amounts"] |= {"tax": "8.00", "tax_included": True, "payable": "100.00"}
    answer = await wire.submit(json.dumps(sent).encode())
    assert (answer.status, answer.json["type"]) == (409, "/problems/conflict")


@pytest.mark.parametrize(
    ("amounts", "fields"),
    [
        ({"goods": "100.00", "tax": "7.00", "payable": "100.00"}, ["amounts.payable"]),
        ({"goods": "100.00", "tax": "6.59", "payable": "106.59"}, ["amounts.tax"]),
        ({"goods": "100.00", "payable": "100.00"}, ["amounts.tax"]),
        ({"goods": "100.00", "tax": "7.005", "payable": "107.00"}, ["amounts.tax"]),
        ({"goods": "100.00", "tax": None, "payable": "100.00"}, ["amounts.tax"]),
        ({"goods": "100.00", "tax": "7", "tax_included": "no"}, ["amounts.tax_included"]),
        ({"goods": "100.00", "taxes": "7", "payable": "107.00"}, ["amounts.taxes"]),
    ],
)
async def test_tax_that_is_wrong_is_named(
    wire: Wire, amounts: dict[str, Any], fields: list[str]
) -> None:
    answer = await wire.submit(json.dumps(taxed(**amounts)).encode())
    assert answer.status == 422
    assert set(fields) <= set(answer.fields), answer
