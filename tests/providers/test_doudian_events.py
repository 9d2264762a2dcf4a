"""How Doudian's adapter reads genuine pushes, and its configuration."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import events
from gateway.providers import contract, doudian

from .doudian_samples import (
    ADAPTER,
    AT,
    CANCELLED_DATA,
    COMPLETED_DATA,
    GREETING,
    OPTIONS,
    ORDER_NO,
    PAID,
    PAID_DATA,
    REFUNDED_DATA,
    SECRET,
    SHIPPED_DATA,
    SHOP_ID,
    TRADE,
    item,
    signed,
)
from .support import NOW, account, bent, read_one, rejection, verdict

PAYMENT = events.PaymentSucceeded(ORDER_NO, ORDER_NO, Decimal("19.90"), "CNY", AT)
REFUND = events.RefundSucceeded(
    ORDER_NO, ORDER_NO, "7002120615012532524", Decimal("8.90"), False, "CNY", AT
)


def one(tag: object, data: Any) -> events.Event:
    return read_one(ADAPTER, signed([item(tag, data)]))


def test_paid() -> None:
    """A payment is in yuan, names its order to the last digit, and is known by msg_id."""
    assert ADAPTER.read(PAID).items == [contract.Item("6816:101:1679", PAYMENT)]


@pytest.mark.parametrize(
    ("tag", "data", "event"),
    [
        ("102", SHIPPED_DATA, events.Shipped(ORDER_NO, "yunda", "4313408", AT)),
        ("104", SHIPPED_DATA, events.Shipped(ORDER_NO, "yunda", "4313408", AT)),
        ("108", SHIPPED_DATA, events.Shipped(ORDER_NO, "yunda", "4313408", AT)),
        ("103", COMPLETED_DATA, events.Delivered(ORDER_NO, AT)),
        ("106", CANCELLED_DATA, events.Closed(ORDER_NO, "cancelled", AT)),
        ("206", REFUNDED_DATA, REFUND),
        ("225", REFUNDED_DATA, REFUND),
        ("100", TRADE | {"create_time": 1795521599}, events.Noted("tag:100", NOW)),
        ("200", REFUNDED_DATA, events.Noted("tag:200", NOW)),
        ("99999", TRADE, events.Noted("tag:99999", NOW)),
    ],
)
def test_tags(tag: str, data: Any, event: events.Event) -> None:
    """Each tag yields exactly what it proves."""
    assert one(tag, data) == event


def test_every_item_is_handled() -> None:
    """A push of several messages yields all of them, each under its own id."""
    push = [item("101", PAID_DATA, "a"), item("102", SHIPPED_DATA, "b"), GREETING]
    reading = ADAPTER.read(signed([*push, item("206", REFUNDED_DATA, "c")]))
    assert [item.key for item in reading.items] == ["a", "b", "c"]
    assert [item.event for item in reading.items][0::2] == [PAYMENT, REFUND]


def test_greeting_is_acknowledged() -> None:
    """Tag 0 has no content and is acknowledged; so is an empty push."""
    for push in ([GREETING], [{"tag": 0, "data": "x"}], []):
        assert ADAPTER.read(signed(push)) == contract.Reading([])


def test_data_as_an_object_and_numbers_as_text() -> None:
    """The platform writes data and numbers in two ways; both have the same meaning."""
    data = PAID_DATA | {"p_id": ORDER_NO, "shop_id": str(SHOP_ID)}
    push = [{"tag": 101, "msg_id": 7, "data": data}]
    assert ADAPTER.read(signed(push)).items == [contract.Item("7", PAYMENT)]


@pytest.mark.parametrize("pay_type", [0, "0", 0.0])
def test_cash_on_delivery_is_not_paid(pay_type: object) -> None:
    """An order confirmed to be paid at the door may be shipped, and has not been paid."""
    assert one("101", PAID_DATA | {"pay_type": pay_type}) == events.PaysOnDelivery(ORDER_NO, AT)


LOGISTICS: dict[str, Any] = {"express_company_id": "yunda", "logistics_code": "4313408"}
CONTENTS: list[dict[str, Any]] = [
    {"sku_id": 3373737, "product_id": 2329389, "shipped_num": 1, "sku_num": 2},
    {"sku_id": 0, "product_id": "77", "shipped_num": "3", "sku_num": 3},
]


@pytest.mark.parametrize(
    ("contents", "lines"),
    [
        (CONTENTS, (events.ParcelLine("3373737", 1), events.ParcelLine("77", 3))),
        ([], ()),
        (None, ()),
        # What is in a parcel is only told: no odd line costs the parcel.
        ("none", ()),
        ([CONTENTS[0] | {"shipped_num": 0}], ()),
        ([CONTENTS[0] | {"shipped_num": "many"}], ()),
        ([CONTENTS[0] | {"sku_id": "a b", "product_id": ""}], ()),
    ],
)
@pytest.mark.parametrize("tag", ["102", "104", "108"])
def test_a_parcel_has_a_number_and_lines(tag: str, contents: Any, lines: Any) -> None:
    """Several parcels of an order are told apart; a changed one is known by its number."""
    parcel = LOGISTICS | {"pack_id": "4705288465508532862", "shipped_order_info": contents}
    assert one(tag, SHIPPED_DATA | {"logistics_msg": parcel}) == events.Shipped(
        ORDER_NO, "yunda", "4313408", AT, "4705288465508532862", lines
    )


@pytest.mark.parametrize("logistics", [None, {}, {"express_company_id": "", "logistics_code": ""}])
def test_what_is_not_sent_has_no_parcel(logistics: Any) -> None:
    """Vouchers, services and top-ups are reported as shipped as well."""
    data = SHIPPED_DATA | {"logistics_msg": logistics}
    assert one("102", data | {"order_type": 2}) == events.Shipped(ORDER_NO, "", "", AT)
    assert isinstance(one("102", data | {"order_type": 0}), events.Unmapped)
    assert isinstance(one("102", data | {"order_type": None}), events.Unmapped)


@pytest.mark.parametrize("at", [1, "", "2026-11-23 20:00:00", None, [], 10**400])
def test_no_odd_time_costs_a_payment_or_a_parcel(at: Any) -> None:
    paid, shipped = one("101", PAID_DATA | {"pay_time": at}), one(
        "102", SHIPPED_DATA | {"update_time": at}
    )  # fmt: skip
    assert isinstance(paid, events.PaymentSucceeded)
    assert isinstance(shipped, events.Shipped)
    assert paid.occurred_at == shipped.occurred_at == NOW


def test_repeat_inside_a_push() -> None:
    """A duplicate message in a push is read once; two with one id are rejected."""
    twice = [item("101", PAID_DATA), item("101", PAID_DATA)]
    assert ADAPTER.read(signed(twice)) == ADAPTER.read(PAID)
    other = [item("101", PAID_DATA), item("101", PAID_DATA | {"pay_amount": 1})]
    assert rejection(ADAPTER, signed(other)) == "malformed"


def test_other_shops() -> None:
    """A push for another shop is rejected; in a mixed one, ours is read and theirs is parked."""
    theirs = item("101", PAID_DATA | {"shop_id": SHOP_ID + 1}, "theirs")
    assert rejection(ADAPTER, signed([theirs])) == "not_ours"
    assert rejection(ADAPTER, signed([GREETING, theirs])) == "not_ours"
    ours, parked = ADAPTER.read(signed([item("101", PAID_DATA), theirs])).items
    assert ours.event == PAYMENT
    assert isinstance(parked.event, events.Unmapped)
    assert "shop_ids" in parked.event.detail


@pytest.mark.parametrize(
    ("tag", "data"),
    [
        ("101", PAID_DATA | {"pay_amount": None}),
        ("101", PAID_DATA | {"pay_amount": -1}),
        ("101", PAID_DATA | {"pay_amount": 10**400}),
        ("101", PAID_DATA | {"pay_amount": 19.9}),
        ("101", PAID_DATA | {"p_id": None}),
        ("101", PAID_DATA | {"p_id": 2**70}),
        ("101", PAID_DATA | {"p_id": "A B"}),
        ("102", SHIPPED_DATA | {"logistics_msg": None}),
        ("102", SHIPPED_DATA | {"logistics_msg": {"express_company_id": "yunda"}}),
        # What a tag with another meaning would look like.
        ("103", PAID_DATA),
        ("106", COMPLETED_DATA),
        ("206", CANCELLED_DATA),
        ("206", REFUNDED_DATA | {"refund_amount": 0}),
        ("206", {k: v for k, v in REFUNDED_DATA.items() if k != "success_time"}),
        ("101", "not JSON"),
        ("101", "[]"),
        ("101", {"p_id": 1}),
    ],
)
def test_what_cannot_be_booked_is_parked(tag: str, data: Any) -> None:
    """An item that is not of its documented shape is parked and stops none of the others."""
    push = [item(tag, data, "odd"), item("101", PAID_DATA)]
    odd, good = ADAPTER.read(signed(push)).items
    assert good.event == PAYMENT
    assert isinstance(odd.event, events.Unmapped)
    assert odd.event.kind == f"tag:{tag}"
    assert odd.event.detail


def test_parked_item_names_its_order() -> None:
    """A parked message keeps its order number."""
    event = one("102", SHIPPED_DATA | {"logistics_msg": None})
    assert isinstance(event, events.Unmapped)
    assert event.order_no == ORDER_NO


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[1]",
        b"[[]]",
        b'[{"msg_id":"1"}]',
        b'[{"tag":"101","data":"{}"}]',
        b'[{"tag":"101","msg_id":"a b","data":"{}"}]',
        b'[{"tag":"1 1","msg_id":"1","data":"{}"}]',
        b'[{"tag":101,"msg_id":' + b"9" * 5000 + b"}]",
        b'[{"tag":"101","msg_id":"\\ud800"}]',
        b"[" * 20000,
        b"\xff",
        json.dumps([item("0", "x", str(n)) for n in range(1001)]).encode(),
    ],
)
def test_malformed_bodies_are_rejected(body: bytes) -> None:
    """A valid signature over content that is not a push is rejected as malformed."""
    assert rejection(ADAPTER, signed(body)) == "malformed"


def test_tags_are_an_option() -> None:
    """A merchant can switch a tag off or give it another meaning."""
    options = OPTIONS | {"tags": {"206": "noted", "777": "refunded"}}
    adapter = doudian.adapter(account(SECRET, **options))
    push = [item("206", REFUNDED_DATA, "a"), item("777", REFUNDED_DATA, "b")]
    assert [item.event for item in adapter.read(signed(push)).items] == [
        events.Noted("tag:206", NOW),
        REFUND,
    ]


@given(
    st.sampled_from(
        [
            ("101", PAID_DATA),
            ("102", SHIPPED_DATA),
            ("103", COMPLETED_DATA),
            ("106", CANCELLED_DATA),
            ("206", REFUNDED_DATA),
        ]
    ).flatmap(lambda drawn: st.tuples(st.just(drawn[0]), bent(drawn[1])))
)
def test_bent_items_are_storable_or_rejected(drawn: tuple[str, Any]) -> None:
    """Any content that the platform could sign is rejected or storable."""
    tag, data = drawn
    verdict(ADAPTER, signed([{"tag": tag, "msg_id": "1", "data": data}]))


@given(bent(item("101", PAID_DATA)))
def test_bent_envelopes_are_storable_or_rejected(content: Any) -> None:
    """The same for what surrounds the data."""
    verdict(ADAPTER, signed([content]))


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        ("accepted", 200, b'{"code":0,"msg":"success"}'),
        ("later", 503, b'{"code":1,"msg":"fail"}'),
        ("rejected", 400, b'{"code":1,"msg":"fail"}'),
    ],
)
def test_replies(answer: contract.Answer, status: int, body: bytes) -> None:
    """Only code 0 with 200 acknowledges."""
    assert ADAPTER.reply(answer) == contract.Reply(status, body, "application/json")


@pytest.mark.parametrize(
    ("secrets", "options", "says"),
    [
        ((), OPTIONS, "1 or 2 secrets"),
        (("",), OPTIONS, "app_secret"),
        (("short",), OPTIONS, "app_secret"),
        ((SECRET + " ",), OPTIONS, "app_secret"),
        ((SECRET + "\u00e9",), OPTIONS, "app_secret"),
        ((SECRET,), {"shop_ids": ["1"]}, "app_key"),
        ((SECRET,), OPTIONS | {"app_key": ""}, "app_key"),
        ((SECRET,), {"app_key": "7"}, "shop_ids"),
        ((SECRET,), OPTIONS | {"shop_ids": []}, "shop_ids"),
        ((SECRET,), OPTIONS | {"shop_ids": ["x"]}, "shop_id"),
        ((SECRET,), OPTIONS | {"tags": {"x": "paid"}}, "tag"),
        ((SECRET,), OPTIONS | {"tags": {"1": "bought"}}, "tags"),
        ((SECRET,), OPTIONS | {"shop": "1"}, "shop"),
    ],
)
def test_wrong_configuration(secrets: tuple[str, ...], options: Any, says: str) -> None:
    """A wrong account raises an error that names the setting and hides the secret."""
    with pytest.raises(ValueError, match=says) as caught:
        doudian.adapter(account(*secrets, **options))
    assert not any(secret and secret in str(caught.value) for secret in secrets)


@pytest.mark.parametrize(
    "changes", [{"pay_amount": "1990"}, {"pay_amount": 1990.0}, {"pay_type": ""}, {"pay_type": "4"}]
)
def test_a_payment_counts_however_its_numbers_are_written(changes: dict[str, Any]) -> None:
    (read,) = ADAPTER.read(signed([item("101", PAID_DATA | changes)])).items
    assert read.event == PAYMENT


def test_a_carrier_may_be_a_number() -> None:
    logistics = {"express_company_id": 17, "logistics_code": 4313408}
    data = SHIPPED_DATA | {"logistics_msg": logistics}
    (read,) = ADAPTER.read(signed([item("102", data)])).items
    assert isinstance(read.event, events.Shipped)
    assert (read.event.carrier, read.event.tracking_no) == ("17", "4313408")


@pytest.mark.parametrize("odd", [None, "", 0, "soon", 1e300])
def test_no_odd_time_costs_what_happened(odd: Any) -> None:
    assert isinstance(one("103", COMPLETED_DATA | {"complete_time": odd}), events.Delivered)
    assert isinstance(one("106", CANCELLED_DATA | {"cancel_time": odd}), events.Closed)


@pytest.mark.parametrize("carrier", [None, "", "x" * 65, "\n"])
def test_no_odd_carrier_costs_a_parcel(carrier: Any) -> None:
    logistics = {"express_company_id": carrier, "logistics_code": "4313408"}
    shipped = one("102", SHIPPED_DATA | {"logistics_msg": logistics})
    assert isinstance(shipped, events.Shipped)
    assert (shipped.carrier, shipped.tracking_no) == ("unknown", "4313408")


@pytest.mark.parametrize(
    "odd",
    [1, [], None, {"msg_id": "1"}, {"tag": "1 1", "msg_id": "1"}, {"tag": "101", "msg_id": "a b"},
     {"tag": "101", "data": "{}"}, {"tag": [], "msg_id": "1"}],
)  # fmt: skip
def test_what_is_no_message_stops_none_of_the_others(odd: Any) -> None:
    """A push that is refused comes again for good, and its payments with it."""
    for push in ([odd, item("101", PAID_DATA)], [item("101", PAID_DATA), odd, odd]):
        paid, parked = ADAPTER.read(signed(push)).items
        assert paid.event == PAYMENT
        assert isinstance(parked.event, events.Unmapped)
