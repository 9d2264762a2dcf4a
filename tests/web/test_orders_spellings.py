"""One order in several spellings: what means the same is the same, and money is not guessed."""

import json
from typing import Any

import asyncpg
import pytest

from gateway.domain import fingerprint, orders
from tests.web.support import Wire, edited, order, order_bytes


@pytest.fixture
def wire(both_paths: Wire) -> Wire:
    return both_paths


def written(sent: dict[str, Any], **raw: str) -> bytes:
    """Return an order as JSON in which some numbers and texts are written by hand."""
    text = json.dumps(sent)
    for name, spelling in raw.items():
        text = text.replace(json.dumps(f"<{name}>"), spelling)
    return text.encode()


@pytest.mark.parametrize("quantity", ["1.0", "1.000", "1e0", "10e-1", "0.1E1"])
async def test_a_whole_quantity_may_have_decimals(wire: Wire, quantity: str) -> None:
    sent = order(items=[{"sku": "A", "name": "Tea", "quantity": 1, "unit_price": "1"}])
    sent["attributes"] = {"weight": 1.5, "parts": 2.0}
    plain = await wire.submit(written(sent))
    odd = edited(sent, ["items", 0, "quantity"], "<quantity>")
    again = await wire.submit(written(odd, quantity=quantity))
    assert (plain.status, again.status) == (201, 200)
    assert again.json == plain.json


async def test_another_quantity_is_a_fault_as_before(wire: Wire) -> None:
    sent = order()
    for quantity, reason in (
        (1.5, "must be a whole number, without a decimal point or exponent"),
        ("1", "must be a whole number, not a string"),
        (0.0, "must be from 1 to 100000"),
        (1e30, "must be a whole number, without a decimal point or exponent"),
    ):
        answer = await wire.submit(written(edited(sent, ["items", 0, "quantity"], quantity)))
        assert answer.status == 422
        assert [(e["field"], e["reason"]) for e in answer.json["errors"]] == [
            ("items[0].quantity", reason)
        ]


TIMES = {
    "2026-11-11T20:00+08:00": "2026-11-11T12:00:00+00:00",
    "2026-11-11T12:00Z": "2026-11-11T12:00:00+00:00",
    "2026-11-11t12:00z": "2026-11-11T12:00:00+00:00",
    "2026-11-11t12:00:00z": "2026-11-11T12:00:00+00:00",
    "2026-11-11 12:00:00Z": "2026-11-11T12:00:00+00:00",
    "2026-11-11 12:00-00:00": "2026-11-11T12:00:00+00:00",
    "2026-11-11T20:00+0800": "2026-11-11T12:00:00+00:00",
    "2026-11-11T12:00:00.123456789Z": "2026-11-11T12:00:00.123457+00:00",
    "2016-12-31T23:59:60Z": "2016-12-31T23:59:59+00:00",
    "2016-12-31T23:59:60.5Z": "2016-12-31T23:59:59+00:00",
}


@pytest.mark.parametrize("text", TIMES)
async def test_a_time_may_lack_its_seconds(
    wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]", text: str
) -> None:
    sent = order(placed_at=text)
    answer = await wire.submit(written(sent))
    assert answer.status == 201
    stored = await ledger.fetchval(
        "SELECT placed_at FROM orders WHERE order_no = $1", sent["order_no"]
    )
    assert stored.isoformat() == TIMES[text]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-11T20:00", "2026-11-11T20+08:00", "2026-11-11", "2026-11-11T20:00:00",
        "2026-11-11T25:00Z", "2026-13-11T20:00Z", "2026-11-11T20:00:61Z", "1762862400", "",
        "2026-11-11T20:00 +08:00", "٢٠٢٦-11-11T20:00Z",
    ],
)  # fmt: skip
async def test_another_time_is_a_fault_as_before(wire: Wire, text: str) -> None:
    answer = await wire.submit(written(order(placed_at=text)))
    assert answer.status == 422
    assert [error["field"] for error in answer.json["errors"]] == ["placed_at"]


MONEY = [
    "+99.50", "9_9.50", "1_99", " 99.50", "99.50 ", "\\t99.50", "\\u00a099.50", "99.50\\u3000",
    "\\uff11\\uff12.50", "1\\u0662", "1e2", "9.95E+1", "Infinity", "NaN", "-sNaN", ".5", "5.",
    "099.50", "\uff10\uff10", "9\uff19.50", "\u300099.50",
]  # fmt: skip
PLACES: list[list[Any]] = [
    ["items", 0, "unit_price"],
    ["items", 1, "discount"],
    ["amounts", "goods"],
    ["amounts", "payable"],
    ["amounts", "shop_discount"],
    ["amounts", "platform_subsidy"],
    ["amounts", "freight"],
    ["amounts", "tax"],
    ["items", 0, "tax"],
]


@pytest.mark.parametrize("money", MONEY)
async def test_money_in_text_is_written_as_json_writes_numbers(wire: Wire, money: str) -> None:
    for path in PLACES:
        sent = edited(order(), path, "<money>")
        answer = await wire.submit(written(sent, money=f'"{money}"'))
        assert answer.status == 422
        field = f"items[{path[1]}].{path[2]}" if path[0] == "items" else ".".join(path)
        reasons = {error["field"]: error["reason"] for error in answer.json["errors"]}
        assert reasons[field] in (
            'must be a decimal number, as in "199.00"', "must be a finite number",
        )  # fmt: skip


async def test_a_large_order_with_odd_money_names_the_first(wire: Wire) -> None:
    sent = edited(order(), ["amounts", "payable"], "+1")
    sent["remark"] = "x" * 1000
    sent["attributes"] = {f"n{n}": "x" * 2000 for n in range(40)}
    answer = await wire.submit(written(sent))
    assert answer.status == 422
    (error,) = answer.json["errors"]
    assert error["field"] == "amounts.payable"


async def test_what_is_no_money_may_look_like_odd_money(wire: Wire) -> None:
    sent = order(attributes={"payable": "+1", "discount": " 5", "goods": "1_0"}, remark="+99")
    assert (await wire.submit(written(sent))).status == 201


async def test_json_numbers_are_read_digit_for_digit(wire: Wire) -> None:
    sent = order(items=[{"sku": "A", "name": "Tea", "quantity": 1, "unit_price": "1"}])
    sent = edited(sent, ["items", 0, "unit_price"], "<price>")
    sent["amounts"] = {"goods": "<goods>", "payable": "<payable>"}
    body = written(sent, price="1995e-1", goods="199.50", payable="1.995e2")
    assert (await wire.submit(body)).status == 201


async def test_an_escaped_plain_amount_is_that_amount(wire: Wire) -> None:
    sent = order(items=[{"sku": "A", "name": "Tea", "quantity": 1, "unit_price": "1"}])
    sent = edited(sent, ["items", 0, "unit_price"], "<price>")
    assert (await wire.submit(written(sent, price='"\\u0031"'))).status == 201


def test_the_digest_is_that_of_the_plain_spelling() -> None:
    plain = order(placed_at="2026-11-11T20:00:00+08:00", attributes={"a": 1.5, "b": 2**60})
    plain["items"] = [{"sku": "A", "name": "Tea", "quantity": 3, "unit_price": 1.10}]
    odd = edited(
        edited(plain, ["items", 0, "quantity"], 3.0), ["placed_at"], "2026-11-11T20:00+08:00"
    )
    read, again = (orders.decode(written(each)) for each in (plain, odd))
    assert again == read
    assert fingerprint.payload(again) == fingerprint.payload(read)


def test_what_was_accepted_before_is_still_read() -> None:
    """An older version has acknowledged it; the journal must not lose it."""
    sent = edited(json.loads(order_bytes()), ["amounts", "payable"], "+1")
    assert str(orders.decode_accepted(json.dumps(sent).encode()).amounts.payable) == "1"
