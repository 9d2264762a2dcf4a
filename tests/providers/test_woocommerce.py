"""WooCommerce: which messages are accepted, the order, and the events of its states."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings

from gateway.domain import events, orders
from gateway.providers import contract, woocommerce

from .support import NOW, account, bent, message, rejection, verdict
from .woocommerce_samples import (
    ADAPTER,
    ADDRESS,
    LINE,
    NEXT_SECRET,
    ORDER,
    SECRET,
    changed,
    placed,
    posted,
    read_order,
)

AT = datetime(2026, 11, 23, 11, tzinfo=UTC)


def test_the_order_in_the_standard_model() -> None:
    order = placed()
    assert (order.order_no, order.buyer_id, order.currency) == ("1727", "26", "EUR")
    assert order.placed_at == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert order.items == [
        orders.Item("WA-1", "Woo Album", 3, Decimal("10.00"), Decimal("3.00"), Decimal("5.13")),
        orders.Item("fee", "Gift wrap", 1, Decimal("2.00"), tax=Decimal("0.38")),
    ]
    assert order.amounts == orders.Amounts(
        goods=Decimal("29.00"),
        payable=Decimal("39.46"),
        shop_discount=Decimal("1.00"),
        freight=Decimal("5.00"),
        tax=Decimal("6.46"),
    )
    to = order.to
    assert (to.name, to.country, to.city, to.postcode) == (
        "Erika Mustermann",
        "DE",
        "Köln",
        "51147",
    )
    assert (to.street, order.remark) == ("Heidestr. 17, 2. Stock", "ring twice")


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "pending", "date_paid_gmt": None, "transaction_id": ""},
        {"status": "completed", "date_completed_gmt": "2026-11-24T08:00:00"},
        {"refunds": [{"id": 9, "total": "-5.00"}]},
        {"status": "refunded", "refunds": [{"id": 9, "total": "-39.46"}]},
        {"date_modified_gmt": "2026-11-25T00:00:00"},
        {"status": "a-plugins-own"},
    ],
)
def test_every_message_makes_the_same_order(changes: Any) -> None:
    assert placed(**changes) == placed()


def test_an_order_without_delivery_or_account() -> None:
    empty = dict.fromkeys(ORDER["billing"], "")
    order = placed(customer_id=0, shipping=empty, billing={**empty, "first_name": "Li"})
    assert (order.buyer_id, order.to.name, order.to.country) == (
        "order:1727", "Li", "DE",
    )  # fmt: skip
    assert placed(number=1727, customer_note="x" * 1025).attributes == {"customer_note": "x" * 1025}


@pytest.mark.parametrize("note", ["x" * 20_000, "\u6ce8" * 9000, '"' * 8192])
def test_no_long_text_costs_an_order(note: str) -> None:
    """What fits into the attributes is kept of it."""
    address = ADDRESS | {"address_1": "s" * 9000}
    kept = placed(customer_note=note, shipping=address).attributes
    assert kept is not None
    assert note.startswith(kept["customer_note"])
    assert len(kept["customer_note"]) > 1000


def test_paid() -> None:
    _, happened = read_order(changed())
    assert happened == [
        events.PaymentSucceeded(
            transaction_id="web:1727",
            order_no="1727",
            amount=Decimal("39.46"),
            currency="EUR",
            occurred_at=datetime(2026, 11, 23, 10, 30, tzinfo=UTC),
        )
    ]


def test_refunds_are_booked_by_their_numbers() -> None:
    refunds = [{"id": 9, "total": "-5.00"}, {"id": 10, "total": "-34.46"}]
    paid, one, two = read_order(changed(status="refunded", refunds=refunds))[1]
    assert isinstance(paid, events.PaymentSucceeded)
    assert [(r.refund_no, r.amount, r.cumulative) for r in (one, two)] == [
        ("9", Decimal("5.00"), False),
        ("10", Decimal("34.46"), False),
    ]
    assert one.transaction_id == paid.transaction_id


def test_what_is_sent_again_has_the_same_key() -> None:
    """Later messages report the payment again: it counts once. Other content is another key."""
    one = ADAPTER.read(changed(refunds=[{"id": 9, "total": "-5.00"}])).items
    two = ADAPTER.read(changed(status="completed", refunds=[{"id": 9, "total": "-5.00"}])).items
    assert [item.key for item in one[1:]] == ["order:727:paid", "order:727:refund:9"]
    assert [item.key for item in two[1:3]] == [item.key for item in one[1:]]
    assert one[0].key != two[0].key
    assert ADAPTER.read(changed()).items[0].key == ADAPTER.read(changed()).items[0].key


PAID_AND_PARKED: list[type] = [events.PaymentSucceeded, events.Unmapped]
#: Not paid before it is delivered.
COD: dict[str, Any] = {"payment_method": "cod", "date_paid_gmt": None}


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({"status": "pending", "date_paid_gmt": None}, []),
        ({"status": "on-hold", "date_paid_gmt": None}, []),
        ({"status": "failed", "date_paid_gmt": None}, []),
        ({"status": "processing", "date_paid_gmt": None}, [events.PaysOnDelivery]),
        (COD | {"status": "pending"}, []),
        (COD | {"status": "on-hold"}, []),
        (COD | {"status": "processing"}, [events.PaysOnDelivery]),
        (COD | {"status": "completed"}, [events.PaysOnDelivery, events.Delivered]),
        (COD | {"status": "cancelled"}, [events.Closed]),
        (
            {"status": "completed", "payment_method": "cod"},
            [events.PaymentSucceeded, events.Delivered],
        ),
        ({"status": "cancelled", "date_paid_gmt": None}, [events.Closed]),
        ({"status": "cancelled"}, [events.PaymentSucceeded, events.Closed]),
        (
            {"status": "cancelled", "refunds": [{"id": 9, "total": "-39.46"}]},
            [events.PaymentSucceeded, events.Closed, events.RefundSucceeded],
        ),
        ({"status": "pending"}, PAID_AND_PARKED),
        ({"status": "on-hold"}, PAID_AND_PARKED),
        ({"status": "failed"}, PAID_AND_PARKED),
        ({"status": "completed"}, [events.PaymentSucceeded, events.Delivered]),
        ({"status": "wc-completed"}, [events.PaymentSucceeded, events.Delivered]),
        ({"status": "completed", "date_paid_gmt": None}, [events.Unmapped]),
        ({"status": "completed", "date_paid_gmt": None, "total": "0.00"}, [events.Delivered]),
        ({"status": "refunded", "date_paid_gmt": None}, [events.Unmapped]),
        ({"status": "refunded"}, [events.PaymentSucceeded, events.Unmapped]),
        ({"status": "trash"}, [events.Unmapped]),
        ({"status": "shipped-by-plugin"}, [events.Unmapped]),
        # A malformed refund is parked and does not stop the rest.
        ({"refunds": [{"id": 9, "total": "5.00"}]}, PAID_AND_PARKED),
        ({"refunds": [{"id": 0, "total": "-5.00"}]}, PAID_AND_PARKED),
        ({"refunds": [{"id": 9, "total": "NaN"}]}, PAID_AND_PARKED),
        ({"refunds": [{"id": 9, "total": "-sNaN"}]}, PAID_AND_PARKED),
        ({"refunds": [{"id": 9, "total": "five"}]}, PAID_AND_PARKED),
        ({"refunds": [{"id": 9}]}, PAID_AND_PARKED),
        ({"refunds": ["nine"]}, PAID_AND_PARKED),
        ({"refunds": [{"id": 9, "total": "0.00"}]}, [events.PaymentSucceeded]),
        (
            {"refunds": [{"id": 9, "total": "-1.00"}] * 2},
            [events.PaymentSucceeded, events.RefundSucceeded, events.Unmapped],
        ),
        (
            {
                "status": "completed",
                "refunds": [{"id": 1, "total": "0.001"}, {"id": 2, "total": "-5.00"}],
            },
            [*PAID_AND_PARKED, events.RefundSucceeded, events.Delivered],
        ),
    ],
)
def test_events_of_each_status(changes: Any, kinds: list[type]) -> None:
    order, happened = read_order(changed(**changes))
    assert isinstance(order, orders.Submission)
    assert [type(event) for event in happened] == kinds


@pytest.mark.parametrize(
    "changes",
    [
        {"total": "39.97"},
        {"total": "-1.00"},
        {"total": "NaN"},
        {"total": "sNaN"},
        {"total": "1E+400"},
        {"currency": "XXQ"},
        {"line_items": []},
        {"line_items": [LINE | {"quantity": "many"}]},
        {"line_items": [LINE | {"quantity": "NaN"}]},
        {"line_items": [LINE | {"total": "-27.00"}]},
        {"line_items": [LINE | {"total": "sNaN"}]},
        {"line_items": [LINE] * 201},
        {"date_created_gmt": "yesterday"},
    ],
)
def test_an_order_that_is_not_clear_is_parked(changes: Any) -> None:
    order, _ = read_order(changed(**changes))
    assert isinstance(order, events.Unmapped)
    assert (order.order_no, order.kind) == ("1727", "order.processing")


ODD_BUT_CLEAR: list[Any] = [
    {"line_items": [LINE | {"quantity": 3.0}]},
    {"line_items": [LINE | {"quantity": "3"}]},
    {"line_items": [LINE | {"product_id": None, "variation_id": None, "sku": "WA-1"}]},
    {"line_items": [LINE | {"product_id": "93", "variation_id": ""}]},
    {"customer_id": None},
    {"customer_id": ""},
    {"billing": [], "refunds": None},
    {"billing": None},
    {"total": 39.46},
    {"number": 1727},
    {"billing": "none", "customer_id": "guest", "customer_note": ["ring twice"]},
    {"line_items": [LINE | {"product_id": {"id": 93}, "variation_id": "none"}]},
    {"gift_cards": "none", "payment_method": 7, "refunds": {}},
    {"gift_cards": [{"code": "x"}]},
]


@pytest.mark.parametrize("changes", ODD_BUT_CLEAR)
def test_what_means_the_same_is_read_the_same(changes: Any) -> None:
    """Whole floats, numbers as text, null and empty for none: plug-ins write all of these."""
    order, happened = read_order(changed(**changes))
    plain, plainly_happened = read_order(changed())
    assert isinstance(order, orders.Submission)
    assert isinstance(plain, orders.Submission)
    assert order.items == plain.items
    assert order.amounts == plain.amounts
    assert happened == plainly_happened


@pytest.mark.parametrize(
    "changes",
    [
        {"line_items": [LINE | {"total": "twenty"}]},
        {"line_items": {"a": 1}},
        {"line_items": [LINE | {"quantity": [3]}]},
        {"billing": "none", "shipping": 7},
        {"date_created_gmt": None},
        {"fee_lines": [{"total": None}]},
    ],
)
def test_no_odd_field_costs_the_payment(changes: Any) -> None:
    """The order is parked at worst; its money is booked."""
    _, happened = read_order(changed(**changes))
    assert [type(event) for event in happened] == [events.PaymentSucceeded]


@pytest.mark.parametrize("topic", ["subscription.created", "subscription.updated", None])
def test_a_subscription_is_no_order(topic: str | None) -> None:
    """It has the fields of an order, and was booked as a second one with a second payment."""
    subscription = ORDER | {"id": 801, "number": "1801", "status": "active"}
    subscription |= {"billing_period": "month", "billing_interval": "1"}
    sent = posted(subscription)
    headers = dict(sent.headers)
    if topic is None:
        del headers["X-WC-Webhook-Topic"]
    else:
        headers["X-WC-Webhook-Topic"] = topic
    (item,) = ADAPTER.read(message(sent.body, headers)).items
    assert item.event == events.Noted(topic or "unknown", NOW)


@pytest.mark.parametrize("topic", ["order.created", "action.woocommerce_order_paid", "", "\u00e9"])
def test_an_order_is_one_whatever_the_unsigned_topic_says_otherwise(topic: str) -> None:
    sent = posted(ORDER)
    bent = message(sent.body, dict(sent.headers) | {"X-WC-Webhook-Topic": topic})
    assert ADAPTER.read(bent) == ADAPTER.read(sent)


def test_what_is_no_order() -> None:
    (deleted,) = ADAPTER.read(posted({"id": 727})).items
    assert isinstance(deleted.event, events.Unmapped)
    assert "727" in deleted.event.detail
    (product,) = ADAPTER.read(posted({"id": 93, "name": "Album", "price": "9.00"})).items
    assert product.event == events.Noted("no_order", NOW)
    (basket,) = ADAPTER.read(changed(status="checkout-draft")).items
    assert basket.event == events.Noted("order.checkout-draft", NOW)


@settings(max_examples=200)
@given(bent(ORDER))
def test_bent_orders_are_storable_or_rejected(order: Any) -> None:
    """Whatever the shop itself might sign."""
    try:
        callback = posted(order)
    except (TypeError, ValueError):
        return
    verdict(ADAPTER, callback)


def test_rotation_and_rejections() -> None:
    both = woocommerce.adapter(account(NEXT_SECRET, SECRET))
    assert both.read(changed()).items
    assert both.read(posted(ORDER, secret=NEXT_SECRET)).items
    assert rejection(ADAPTER, posted(ORDER, secret=NEXT_SECRET)) == "bad_signature"
    assert rejection(ADAPTER, message(b"{}", {})) == "missing_signature"
    assert ADAPTER.read(posted(b"webhook_id=7")) == contract.Reading([])


@pytest.mark.parametrize("body", [b"webhook_id=7", b"webhook_id=12345678901234567890"])
def test_a_ping_is_answered_and_does_nothing(body: bytes) -> None:
    assert ADAPTER.read(message(body, {})) == contract.Reading([])


@pytest.mark.parametrize(
    "body",
    [b"webhook_id=", b"webhook_id=7&x=1", b"webhook_id=7\n", b" webhook_id=7", b"webhook_id=-7"],
)
def test_what_is_not_quite_a_ping_is_rejected(body: bytes) -> None:
    assert rejection(ADAPTER, message(body, {})) == "missing_signature"


@pytest.mark.parametrize(
    ("secrets", "options", "channels", "says"),
    [
        ((), {}, ("web",), "1 or 2 secrets"),
        (("",), {}, ("web",), "empty secret"),
        ((SECRET,), {"country": "Germany"}, ("web",), "country"),
        ((SECRET,), {}, ("web", "app"), "exactly one channel"),
    ],
)
def test_wrong_configuration(secrets: Any, options: Any, channels: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        woocommerce.adapter(contract.Account("shop", secrets, options, channels))


def test_blanks_around_a_number_are_none_of_it() -> None:
    assert placed(number=" 1727\n").order_no == "1727"


@pytest.mark.parametrize("number", ["2026 / 17", "№17", "x" * 65])
def test_a_number_that_does_not_fit_is_parked_and_not_rejected(number: str) -> None:
    (item,) = ADAPTER.read(changed(number=number)).items
    assert isinstance(item.event, events.Unmapped)
    assert (item.event.order_no, "order 727" in item.event.detail) == ("", True)


def test_what_is_parked_of_one_message_has_keys_of_its_own() -> None:
    refunds = [{"id": n, "total": "5.00"} for n in (1, 2)]
    keys = [item.key for item in ADAPTER.read(changed(refunds=refunds, status="cancelled")).items]
    assert len(keys) == len(set(keys)) == 5


@pytest.mark.parametrize("none", ["", " ", "0", "0000-00-00T00:00:00", "-0001-11-30T00:00:00"])
@pytest.mark.parametrize("status", ["pending", "on-hold", "failed", "cancelled"])
def test_a_time_of_nothing_is_no_payment(none: str, status: str) -> None:
    """PHP and MySQL write a date that is none in these ways."""
    _, happened = read_order(changed(status=status, date_paid_gmt=none))
    assert not any(isinstance(event, events.PaymentSucceeded) for event in happened)
    assert not any(isinstance(event, events.Unmapped) for event in happened)


def test_what_an_older_version_of_the_api_tells_paid_is_paid() -> None:
    """Version 1 has no times in UTC: not even its orders are on delivery because of that."""
    told = {name: value for name, value in ORDER.items() if name != "date_paid_gmt"}
    _, happened = read_order(posted(told | {"date_paid": "2026-11-23T11:30:00"}))
    assert [type(event) for event in happened] == [events.PaymentSucceeded]


#: What is parked of an order, and stays as it is while the rest of the order changes.
LASTING: list[dict[str, Any]] = [
    {"status": "packing"},
    {"status": "on-hold"},
    {"number": "2026 / 17"},
    {"currency": "BTC"},
    {"total": "1e3"},
    {"line_items": [], "shipping_lines": [], "fee_lines": []},
    {"status": "refunded", "refunds": []},
    {"refunds": [{"id": 8, "total": "5.00"}]},
]


@pytest.mark.parametrize("fault", LASTING)
def test_one_fault_of_an_order_is_parked_once(fault: dict[str, Any]) -> None:
    """The shop tells the whole order with every note; only a real change is another fault."""

    def keys(**told: Any) -> list[str]:
        items = ADAPTER.read(changed(**fault | told)).items
        return [item.key for item in items if isinstance(item.event, events.Unmapped)]

    first = keys()
    assert len(first) == 1
    noted = {"customer_note": "ring twice more", "date_modified_gmt": "2026-11-25T10:00:00"}
    assert keys(**noted) == first
    if fault.get("refunds"):
        other = {"id": 9, "total": "6.00"}
        assert len(keys(refunds=[other, *fault["refunds"]])) == 2
        assert first[0] in keys(refunds=[other, *fault["refunds"]])


@pytest.mark.parametrize("body", [b"[]", b"null", b'""', b"", b"7", b"{", b"\xff"])
def test_what_is_signed_is_parked_whatever_it_holds(body: bytes) -> None:
    """WooCommerce has sent empty lists; a shop that is told no switches its webhook off."""
    (item,) = ADAPTER.read(posted(body)).items
    assert isinstance(item.event, events.Unmapped)


def test_a_webhook_for_an_action_is_parked_once_with_what_to_do() -> None:
    keys = set()
    for n in (727, 728):
        body = {"action": "woocommerce_order_status_completed", "arg": n}
        (item,) = ADAPTER.read(posted(body)).items
        assert isinstance(item.event, events.Unmapped)
        assert "choose Order updated" in item.event.detail
        keys.add(item.key)
    assert len(keys) == 1
