"""An order is checked once, wholly: every fault names its field, and all are found at once."""

import json
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import money, orders, validation
from gateway.domain.errors import Invalid
from gateway.domain.orders import Submission
from loadtest.orders import order
from tests.domain.support import DUE, NOW, due, submission

CHANNELS = ("app", "web")


def faults(sent: Submission) -> dict[str, str]:
    """Return the reason of each wrong field; nothing when the order may be stored."""
    try:
        validation.check(sent, channels=CHANNELS, now=NOW)
    except Invalid as exc:
        assert len({fault.field for fault in exc.faults}) == len(exc.faults)
        return {fault.field: fault.reason for fault in exc.faults}
    return {}


def item(**changes: Any) -> dict[str, Any]:
    return {"sku": "TEA-1", "name": "Tea", "quantity": 1, "unit_price": "100.00", **changes}


def priced(item_changes: Mapping[str, Any], **amounts: str) -> Submission:
    """Return an order of one line whose amounts are those given, 100.00 else."""
    written = {"goods": "100.00", "payable": "100.00", **amounts}
    return submission(items=[item(**item_changes)], amounts=written)


def test_a_right_order_is_let_in_with_its_phone_in_one_spelling() -> None:
    sent = submission(recipient={"phone": "138-0013-8000"})
    assert validation.check(sent, channels=CHANNELS, now=NOW) == (sent, "+8613800138000")


WRONG: list[tuple[str, Submission]] = [
    ("channel", submission(channel="tmall")),
    ("placed_at", due(placed_at="2026-11-23T02:10:01Z")),
    ("placed_at", due(placed_at="9999-12-31T23:59:59-12:00")),
    ("placed_at", due(placed_at="1999-12-31T23:59:59Z")),
    ("placed_at", due(placed_at="0001-01-01T00:00:00+12:00")),
    ("currency", due(currency="DEM")),
    ("currency", due(currency="XXX")),
    ("items[0].unit_price", priced({"unit_price": "NaN"})),
    ("items[0].unit_price", priced({"unit_price": "sNaN"})),
    ("items[0].unit_price", priced({"unit_price": "-Infinity"})),
    ("items[0].unit_price", priced({"unit_price": "1E+999999999"})),
    ("items[0].unit_price", priced({"unit_price": "0E-999999999"})),
    ("items[0].unit_price", priced({"unit_price": "100.001"})),
    ("items[0].unit_price", priced({"unit_price": 10**400})),
    ("items[0].discount", priced({"unit_price": "0", "discount": "-100"}, goods="100")),
    ("items[0].discount", priced({"unit_price": "1", "discount": "1.01"}, goods="0")),
    ("amounts.goods", priced({}, goods="100.01", payable="100.01")),
    ("amounts.goods", priced({"quantity": 100_000, "unit_price": "999999999999.99"})),
    ("amounts.goods", priced({}, goods="-100.00")),
    ("amounts.payable", priced({}, payable="99.99")),
    ("amounts.payable", priced({}, payable="-0.01", shop_discount="100.01")),
    ("amounts.shop_discount", priced({}, payable="110", shop_discount="-10")),
    ("amounts.platform_subsidy", priced({}, platform_subsidy="Infinity")),
    ("amounts.freight", priced({}, freight="0.001")),
    ("recipient.country", due(recipient={"country": "ZZ"})),
    ("recipient.country", due(recipient={"country": "UK"})),
    ("recipient.province", due(recipient={"province": ""})),
    ("recipient.city", due(recipient={"city": " \t"})),
    ("recipient.district", due(recipient={"district": "\u3000"})),
    ("recipient.city", due(recipient={"city": "\0\x85"})),
    ("buyer_id", due(buyer_id="b\0")),
    ("items[0].sku", submission(items=[item(sku="\0")])),
    ("items[0].sku", submission(items=[item(sku="A\x9f", name="\x02")])),
    ("attributes", due(attributes={str(n): n for n in range(51)})),
    ("attributes", due(attributes={"text": "x" * 8192})),
]


@pytest.mark.parametrize(
    ("field", "sent"), WRONG, ids=[f"{n}-{field}" for n, (field, _) in enumerate(WRONG)]
)
def test_names_the_wrong_field_and_no_other(field: str, sent: Submission) -> None:
    assert list(faults(sent)) == [field]


RIGHT: list[Submission] = [
    due(placed_at="2026-11-23T02:10:00Z"),
    due(placed_at="2000-01-01T00:00:00Z"),
    due(remark="two\r\nlines\tand a tab"),
    due(remark="emoji 🍵, no-break\u00a0space, 全角\u3000"),
    due(remark=""),
    due(attributes={}),
    due(attributes={"big": 10**30, "deep": [[[{"a": None}]]], "zero": "\0"}),
    due(recipient={"country": "FR", "province": "", "phone": "+33 1 42 68 53 00"}),
    priced({"unit_price": "1E+2"}, goods="1E+2", payable="100"),
    priced({"unit_price": "0", "discount": "-0"}, goods="-0", payable="0"),
    priced({"discount": "100.00"}, goods="0", payable="0"),
    priced({}, shop_discount="60", platform_subsidy="40", payable="0.00"),
]


@pytest.mark.parametrize("sent", RIGHT, ids=range(len(RIGHT)))
def test_finds_no_fault_where_there_is_none(sent: Submission) -> None:
    assert faults(sent) == {}


def test_finds_all_faults_at_once() -> None:
    sent = submission(
        channel="nowhere",
        placed_at="2126-01-01T00:00:00Z",
        buyer_id="\0",
        remark="\0",
        items=[item(sku="\0"), item(unit_price="NaN", discount="-1"), item(discount="0.001")],
        amounts={"goods": "-1", "payable": "NaN", "freight": "1E+13"},
        recipient={"province": "", "city": "", "district": "", "phone": "-----", "country": "CN"},
        attributes={"text": "x" * 9000},
    )
    assert set(faults(sent)) == {
        "channel",
        "placed_at",
        "buyer_id",
        "items[0].sku",
        "items[1].unit_price",
        "items[1].discount",
        "items[2].discount",
        "amounts.goods",
        "amounts.payable",
        "amounts.freight",
        "recipient.province",
        "recipient.city",
        "recipient.district",
        "attributes",
    }


def test_a_fault_never_repeats_what_was_private() -> None:
    sent = due(recipient={"phone": "555-CANARY", "name": "CANARY\0", "city": ""}, buyer_id="C\0")
    found = faults(sent)
    assert set(found) == {"buyer_id", "recipient.city"}
    assert "CANARY" not in repr(found)


@pytest.mark.parametrize("field", ["order_no", "currency"])
def test_a_final_newline_is_not_part_of_a_number_or_code(field: str) -> None:
    """``$`` of a pattern also matches before a final newline: W-1 and W-1\\n are two orders."""
    with pytest.raises(msgspec.ValidationError):
        orders.decode(json.dumps({**order(1), field: "CNY\n"}).encode())


def test_a_final_newline_does_not_spare_a_country_its_rules() -> None:
    with pytest.raises(msgspec.ValidationError):
        due(recipient={"country": "CN\n", "province": ""})


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"recipient": {**order(1)["recipient"], "surprise": 1}},
        {"amounts": {"goods": "1", "payable": "1", "surprise": "1"}},
        {"amounts": {"goods": "one", "payable": "1"}},
        {"items": []},
        {"items": [item(quantity=0)]},
        {"items": [item(quantity=1.5)]},
        {"items": [item()] * 201},
        {"order_no": ""},
        {"order_no": "with blank"},
        {"order_no": "x" * 65},
        {"placed_at": "2026-11-23T10:00:00"},
        {"channel": ""},
        {"buyer_id": None},
    ],
    ids=str,
)
def test_what_has_another_shape_is_not_even_decoded(changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        orders.decode(json.dumps({**order(1), "items": [item()], **changes}).encode())


prices = st.decimals(min_value=0, max_value=10**6, places=2)
lines = st.tuples(prices, st.integers(1, 100_000), st.decimals(0, 1, places=2))


@given(st.lists(lines, min_size=1, max_size=20), prices, prices, prices)
def test_whatever_adds_up_is_let_in_and_a_cent_more_is_not(
    drawn: list[tuple[Decimal, int, Decimal]], freight: Decimal, shop: Decimal, platform: Decimal
) -> None:
    items = [
        item(unit_price=str(price), quantity=quantity, discount=str(min(price, discount)))
        for price, quantity, discount in drawn
    ]
    goods = sum((price * quantity - min(price, cut) for price, quantity, cut in drawn), Decimal(0))
    payable = goods - shop - platform + freight
    amounts = {
        "goods": goods,
        "shop_discount": shop,
        "platform_subsidy": platform,
        "freight": freight,
        "payable": payable,
    }
    written = {name: str(amount) for name, amount in amounts.items()}
    is_money = 0 <= payable < money.AMOUNT_LIMIT and goods < money.AMOUNT_LIMIT
    assert (faults(submission(items=items, amounts=written)) == {}) == is_money
    written["payable"] = str(payable + Decimal("0.01"))
    assert "amounts.payable" in faults(submission(items=items, amounts=written)) or not is_money


def test_an_amount_may_come_as_an_exact_json_number() -> None:
    sent = submission(items=[item(unit_price=100)], amounts={"goods": 100, "payable": 100})
    assert faults(sent) == {}
    assert sent.amounts.payable == DUE


def test_how_far_ahead_a_storefront_clock_may_run_is_exact() -> None:
    ahead = NOW + validation.PLACED_AHEAD_MAX
    assert faults(due(placed_at=ahead.isoformat())) == {}
    assert list(faults(due(placed_at=(ahead + timedelta(microseconds=1)).isoformat()))) == [
        "placed_at"
    ]


# --- orders that a shop took ---


def reported(**changes: Any) -> Submission:
    """Return an order as an adapter builds it: nothing of it was checked by decoding."""
    return msgspec.structs.replace(due(), **changes)


def test_a_shops_order_may_be_dated_ahead() -> None:
    """No clock of a shop costs an order; nor does one that is dated on the day it is sent."""
    sent = reported(placed_at=NOW + timedelta(days=30))
    assert validation.check(sent, channels=CHANNELS, now=NOW, is_from_shop=True).order == sent
    with pytest.raises(Invalid):
        validation.check(sent, channels=CHANNELS, now=NOW)


def test_a_shops_order_may_lack_an_address_and_a_telephone_number() -> None:
    sent = reported(recipient=orders.Recipient(name="", phone="", country="CN", street=""))
    assert validation.check(sent, channels=CHANNELS, now=NOW, is_from_shop=True) == (sent, "")
    assert set(faults(sent)) == {"recipient.name", "recipient.phone", "recipient.street"}


def test_a_shops_order_must_fit_like_any_other() -> None:
    recipient = orders.Recipient(name="n" * 129, phone="1" * 65, country="DEU", street="s" * 513)
    lines = [orders.Item("", "", 0, Decimal(1))]
    sent = reported(recipient=recipient, items=lines, buyer_id="", order_no="1" * 65)
    with pytest.raises(Invalid) as caught:
        validation.check(sent, channels=CHANNELS, now=NOW, is_from_shop=True)
    found = {fault.field for fault in caught.value.faults}
    assert found == {
        "amounts.goods", "items[0].quantity", "order_no", "buyer_id", "recipient.name",
        "recipient.phone", "recipient.country", "recipient.street", "items[0].sku",
        "items[0].name",
    }  # fmt: skip


def test_an_order_of_a_shop_is_encoded_and_decoded_unchanged() -> None:
    nowhere = orders.Recipient(name="", phone="", country="DE", street="")
    for sent in (due(), reported(recipient=nowhere, attributes={"a": [1.5, None]}, remark="x")):
        assert orders.decode_shop_order(orders.encode_shop_order(sent)) == sent


# --- orders without a recipient, or with half of one ---

BARE: list[tuple[Any, dict[str, str]]] = [
    (None, {"recipient": "is missing"}),
    (
        {"country": "CN"},
        {
            "recipient.name": "is missing",
            "recipient.phone": "is missing",
            "recipient.street": "is missing",
        },
    ),
    ({"country": "CN", "phone": "13800138000"}, dict.fromkeys(
        ("recipient.name", "recipient.street"), "is missing"
    )),
    (
        {"country": "CN", "name": "", "phone": None, "street": ""},
        {
            "recipient.name": "must not be empty",
            "recipient.phone": "is missing",
            "recipient.street": "must not be empty",
        },
    ),
    ({"country": "FR", "name": "Zoé", "street": "1 rue A"}, {"recipient.phone": "is missing"}),
]  # fmt: skip


@pytest.mark.parametrize(("recipient", "expected"), BARE, ids=range(len(BARE)))
def test_what_a_recipient_lacks_is_a_fault_unless_the_channel_says_so(
    recipient: Any, expected: dict[str, str]
) -> None:
    sent = orders.decode(json.dumps({**order(1), "recipient": recipient}).encode())
    assert faults(sent) == expected
    phone = validation.check(sent, channels=CHANNELS, now=NOW, needs_recipient=False).phone
    assert phone in ("", "+8613800138000")


@pytest.mark.parametrize(
    ("recipient", "fields"),
    [
        # With a street, China's three parts of an address are required as ever.
        ({"country": "CN", "street": "Longjing Road 1"}, ["province", "city", "district"]),
        ({"country": "ZZ"}, ["country"]),
    ],
)
def test_what_an_optional_recipient_has_is_checked_all_the_same(
    recipient: dict[str, str], fields: list[str]
) -> None:
    sent = orders.decode(json.dumps({**order(1), "recipient": recipient}).encode())
    with pytest.raises(Invalid) as caught:
        validation.check(sent, channels=CHANNELS, now=NOW, needs_recipient=False)
    assert [fault.field for fault in caught.value.faults] == [f"recipient.{f}" for f in fields]


def test_what_an_unknown_channel_asks_for_is_not_guessed() -> None:
    sent = orders.decode(json.dumps({**order(1), "recipient": None, "channel": "x"}).encode())
    assert list(faults(sent)) == ["channel"]


@pytest.mark.parametrize("recipient", [None, {"country": "CN"}, {"country": "CN", "phone": None}])
def test_a_shops_order_without_a_recipient_is_read_as_it_was_written(recipient: Any) -> None:
    sent = orders.decode(json.dumps({**order(1), "recipient": recipient}).encode())
    assert orders.decode_shop_order(orders.encode_shop_order(sent)) == sent
    assert validation.check(sent, channels=CHANNELS, now=NOW, is_from_shop=True) == (sent, "")
