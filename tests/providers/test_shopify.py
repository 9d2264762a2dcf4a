"""Shopify: which messages are accepted, the order, and the events of its states."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import events, orders, validation
from gateway.providers import contract, shopify

from .shopify_samples import (
    ADAPTER,
    ADDRESS,
    LINE,
    NEXT_SECRET,
    ORDER,
    ORDER_ID,
    REFUND,
    SECRET,
    SHOP,
    changed,
    posted,
)
from .support import NOW, account, bent, message, rejection, verdict

AT = datetime(2026, 11, 23, 11, tzinfo=UTC)
PARCEL = {"status": "success", "tracking_company": "DHL", "tracking_number": "JD1"}


def read_order(callback: contract.Message) -> tuple[Any, list[Any]]:
    """Return what is placed, and what happened to it."""
    placed, *happened = ADAPTER.read(callback).items
    return placed.event, [item.event for item in happened]


def placed(**changes: Any) -> orders.Submission:
    order, _ = read_order(changed(**changes))
    assert isinstance(order, orders.Submission), order
    validation.check(order, channels={"web"}, now=NOW, is_from_shop=True)
    return order


def test_the_order_in_the_standard_model() -> None:
    order = placed()
    assert (order.order_no, order.buyer_id, order.currency) == ("#1001", "207119551", "EUR")
    assert order.placed_at == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert order.items == [
        orders.Item("IPOD-1", "IPod - pink", 3, Decimal("10.00"), Decimal("3.00"), Decimal("5.13"))
    ]
    assert order.amounts == orders.Amounts(
        goods=Decimal("27.00"),
        payable=Decimal("38.08"),
        freight=Decimal("5.00"),
        tax=Decimal("6.08"),
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
        {"financial_status": "pending"},
        {"financial_status": None},
        {"financial_status": "partially_refunded", "refunds": [REFUND]},
        {"fulfillment_status": "fulfilled", "fulfillments": [PARCEL]},
        {"cancelled_at": "2026-11-23T12:00:00+01:00", "financial_status": "voided"},
        {"updated_at": "2026-11-25T00:00:00Z", "current_total_price": "0.00"},
    ],
)
def test_every_message_makes_the_same_order(changes: Any) -> None:
    assert placed(**changes) == placed()


def test_taxes_in_the_prices_tips_and_duties() -> None:
    included = placed(taxes_included=True, total_price="32.00")
    assert included.items[0].unit_price == Decimal("10.00")
    assert included.amounts == orders.Amounts(
        goods=Decimal("27.00"),
        payable=Decimal("32.00"),
        freight=Decimal("5.00"),
        tax=Decimal("6.08"),
        tax_included=True,
    )
    duties = {"shop_money": {"amount": "4.00", "currency_code": "EUR"}}
    order = placed(total_price="44.08", total_tip_received="2.00", original_total_duties_set=duties)
    assert [(i.sku, i.unit_price) for i in order.items[1:]] == [
        ("tip", Decimal("2.00")),
        ("duties", Decimal("4.00")),
    ]
    # A tip that is in the total already is not taken twice.
    assert len(placed(total_tip_received="2.00").items) == 1


def test_an_order_without_delivery_or_customer() -> None:
    order = placed(customer=None, shipping_address=None, billing_address=None)
    assert (order.buyer_id, order.to.name, order.to.country) == (
        "order:#1001",
        "",
        "US",
    )
    long = placed(note="x" * 1025, shipping_address=ADDRESS | {"phone": "0" * 65})
    assert long.attributes == {"note": "x" * 1025, "phone": "0" * 65}


def test_paid_refunded_and_shipped() -> None:
    _, (paid, refund, shipped) = read_order(
        changed(
            financial_status="partially_refunded",
            refunds=[REFUND],
            fulfillment_status="fulfilled",
            fulfillments=[{"status": "cancelled", "tracking_number": "X"}, PARCEL],
        )
    )
    assert paid == events.PaymentSucceeded(str(ORDER_ID), "#1001", Decimal("38.08"), "EUR", AT)
    assert (refund.transaction_id, refund.refund_no, refund.amount, refund.cumulative) == (
        str(ORDER_ID), "509562969", Decimal("6.00"), False,
    )  # fmt: skip
    assert (shipped.order_no, shipped.carrier, shipped.tracking_no) == ("#1001", "DHL", "JD1")


def test_a_refunds_own_message_is_noted_as_the_order_message_reports_it() -> None:
    """It names neither the order's currency nor whether the order is a test."""
    (own,) = ADAPTER.read(posted(REFUND)).items
    assert own.event == events.Noted("refund", NOW)


def test_an_edited_order_is_told_as_it_is_now() -> None:
    """Unless a refund or a cancellation may have changed the current figures."""
    gone = LINE | {"id": 2, "current_quantity": 0}
    edit: dict[str, Any] = {
        "line_items": [LINE | {"current_quantity": 2}, gone],
        "total_price": "70.21",
        "current_total_price": "28.08",
        "current_total_price_set": {"shop_money": {"amount": "28.08", "currency_code": "EUR"}},
    }
    edited = placed(**edit)
    assert [item.quantity for item in edited.items] == [2]
    assert edited.amounts.payable == Decimal("28.08")
    _, (paid,) = read_order(changed(**edit))
    assert paid.amount == Decimal("28.08")
    original = edit | {"current_total_price": "70.21"}
    for later in ({"refunds": [REFUND]}, {"cancelled_at": "2026-11-23T12:00:00+01:00"}):
        assert placed(**edit | later) == placed(**original)
    assert len(placed(**original).items) == 2


def refund(number: int, *amounts: str, status: str = "success", **changes: Any) -> dict[str, Any]:
    done = {"kind": "refund", "status": status, "currency": "EUR"} | changes
    return {"id": number, "transactions": [done | {"amount": amount} for amount in amounts]}


def test_a_refund_is_booked_once_it_is_complete() -> None:
    """Its key is used up by the first event; a later amount would never be booked."""
    half = refund(5, "6.00")
    half["transactions"] += refund(5, "4.00", status="pending")["transactions"]
    paid = {"financial_status": "partially_refunded"}
    _, early = read_order(changed(refunds=[half], **paid))
    assert [type(event) for event in early] == [events.PaymentSucceeded]
    _, (_, late) = read_order(changed(refunds=[refund(5, "6.00", "4.00")], **paid))
    assert late.amount == Decimal("10.00")


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        # A deposit that was given back is not the total.
        ({"financial_status": "refunded", "refunds": [refund(5, "10.00")]}, "refund parked"),
        ({"financial_status": "refunded", "refunds": [refund(5, "38.08")]}, "paid refund"),
        (
            {"financial_status": "refunded", "refunds": [refund(5, "8.08"), refund(6, "30.00")]},
            "paid refund refund",
        ),
        # Edited before it was paid: what it came to was paid.
        ({"current_total_price": "22.08"}, "paid"),
        ({"current_total_price": "22.08", "total_outstanding": "-16.00"}, "parked"),
        ({"current_total_price": "0.00"}, "parked"),
        ({"current_total_price": "sNaN"}, "parked"),
        ({"current_total_price": "38.08", "total_outstanding": "0.00"}, "paid"),
        ({"total_outstanding": "5.00"}, "parked"),
        ({"total_outstanding": "sNaN"}, "parked"),
        (
            {
                "financial_status": "partially_refunded",
                "refunds": [refund(5, "6.00")],
                "current_total_price": "32.08",
            },
            "paid refund",
        ),
    ],
)
def test_a_payment_of_the_total_is_booked_only_if_it_is_certain(changes: Any, kinds: str) -> None:
    names = {"PaymentSucceeded": "paid", "RefundSucceeded": "refund", "Unmapped": "parked"}
    _, happened = read_order(changed(**changes))
    names_found = sorted(names[type(event).__name__] for event in happened)
    assert names_found == sorted(kinds.split())


@pytest.mark.parametrize(
    "odd",
    [
        refund(0, "1.00"),
        refund(5, "1.00", currency="USD"),
        refund(5, "one"),
        refund(5, "sNaN"),
        {"id": "five", "transactions": []},
        "five",
    ],
)
def test_a_malformed_refund_is_parked_and_does_not_stop_the_rest(odd: Any) -> None:
    _, happened = read_order(
        changed(
            financial_status="partially_refunded",
            refunds=[odd, refund(6, "2.00"), refund(7, "0.00")],
            fulfillment_status="fulfilled",
            fulfillments=["odd", PARCEL],
        )
    )
    assert [type(event).__name__ for event in happened] == [
        "PaymentSucceeded", "Unmapped", "RefundSucceeded", "Shipped",
    ]  # fmt: skip


def test_a_tracking_number_is_taken_without_its_blanks() -> None:
    parcel = {"status": "success", "tracking_company": " ", "tracking_number": "1Z 999 AA1"}
    shipped = read_order(changed(fulfillment_status="fulfilled", fulfillments=[parcel]))[1][-1]
    assert (shipped.carrier, shipped.tracking_no) == ("unknown", "1Z999AA1")


@pytest.mark.parametrize("name", ["Order 1001", "№1001", "#" * 65])
def test_a_name_that_does_not_fit_is_parked_and_not_rejected(name: str) -> None:
    (item,) = ADAPTER.read(changed(name=name)).items
    assert isinstance(item.event, events.Unmapped)
    assert item.event.order_no == ""
    assert str(ORDER_ID) in item.event.detail


def test_what_is_sent_again_has_the_same_key() -> None:
    """One action fires several topics; another content is another message."""
    one = ADAPTER.read(changed()).items
    two = ADAPTER.read(changed(updated_at="2026-11-23T15:00:00Z")).items
    assert [item.key for item in one[1:]] == [f"order:{ORDER_ID}:paid"]
    assert one[1].key == two[1].key
    assert one[0].key != two[0].key
    assert ADAPTER.read(changed()).items[0].key == one[0].key


CANCELLED = {"cancelled_at": "2026-11-23T12:00:00+01:00"}


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({"financial_status": "pending"}, []),
        ({"financial_status": "authorized"}, []),
        ({"financial_status": "voided"}, []),
        ({"financial_status": "pending", **CANCELLED}, [events.Closed]),
        ({"financial_status": "partially_paid"}, [events.Unmapped]),
        ({"financial_status": "something_new"}, [events.Unmapped]),
        ({"financial_status": "expired"}, []),
        ({"financial_status": "unpaid"}, []),
        ({"financial_status": "voided", **CANCELLED}, [events.Closed]),
        ({"financial_status": "authorized", **CANCELLED}, [events.Closed]),
        ({"financial_status": "partially_paid", **CANCELLED}, [events.Unmapped, events.Closed]),
        (CANCELLED, [events.PaymentSucceeded, events.Closed]),
        (CANCELLED | {"current_total_price": "0.00"}, [events.PaymentSucceeded, events.Closed]),
        (
            CANCELLED | {"financial_status": "refunded", "refunds": [refund(5, "38.08")]},
            [events.PaymentSucceeded, events.Closed, events.RefundSucceeded],
        ),
        ({"financial_status": "refunded"}, [events.Unmapped, events.Unmapped]),
        (
            {"refunds": [REFUND, REFUND]},
            [events.PaymentSucceeded, events.RefundSucceeded, events.Unmapped],
        ),
        (
            {"fulfillment_status": "partial", "fulfillments": [PARCEL]},
            [events.PaymentSucceeded, events.Shipped],
        ),
        ({"fulfillment_status": "fulfilled"}, [events.PaymentSucceeded, events.Shipped]),
        ({"fulfillment_status": "restocked"}, [events.PaymentSucceeded]),
    ],
)
def test_events_of_the_states(changes: Any, kinds: list[type]) -> None:
    order, happened = read_order(changed(**changes))
    assert isinstance(order, orders.Submission)
    assert [type(event) for event in happened] == kinds


@pytest.mark.parametrize(
    "changes",
    [
        {"total_price": "38.59"},
        {"total_price": "-1.00"},
        {"total_price": "NaN"},
        {"total_price": "sNaN"},
        {"total_price": "1E+400"},
        {"currency": "XXQ"},
        {"line_items": []},
        {"line_items": [LINE | {"quantity": 0}]},
        {"line_items": [LINE | {"price": "-10.00"}]},
        {"line_items": [LINE | {"discount_allocations": [{"amount": "31.00"}]}]},
        {"line_items": [LINE] * 201},
        {"shipping_lines": [{"price": "5.00", "discount_allocations": [{"amount": "6.00"}]}]},
        {"created_at": "2026-11-23T11:00:00"},
    ],
)
def test_an_order_that_is_not_clear_is_parked(changes: Any) -> None:
    order, _ = read_order(changed(**changes))
    assert isinstance(order, events.Unmapped)
    assert (order.order_no, order.kind) == ("#1001", "order.paid")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"id": ORDER_ID}, "orders.delete"),
        ({"shop_id": 1, "shop_domain": SHOP}, "shop.redact"),
        ({"shop_id": 1, "customer": {}, "orders_to_redact": [1]}, "customers.redact"),
        ({"shop_id": 1, "customer": {}, "data_request": {"id": 9}}, "customers.data_request"),
    ],
)
def test_what_needs_a_person_is_parked(content: Any, kind: str) -> None:
    (item,) = ADAPTER.read(posted(content)).items
    assert isinstance(item.event, events.Unmapped)
    assert item.event.kind == kind


ODD_BUT_CLEAR: list[Any] = [
    {"total_price": 38.08},
    {"customer": {"id": -5}, "note": ["ring twice"], "closed_at": 7},
    {"customer": "guest", "billing_address": [], "total_tip_received": "none"},
    {"line_items": [LINE | {"quantity": 3.0, "product_id": None, "variant_id": ""}]},
    {"line_items": [LINE | {"quantity": "3", "product_id": {}, "variant_id": "none"}]},
    {"fulfillments": "none", "payment_gateway_names": "manual", "original_total_duties_set": 1},
    {"refunds": {}, "total_price_set": []},
]


@pytest.mark.parametrize("changes", ODD_BUT_CLEAR)
def test_what_means_the_same_is_read_the_same(changes: Any) -> None:
    """Only the fields that carry money, number, status and time can cost an order."""
    order, happened = read_order(changed(**changes))
    plain, plainly_happened = read_order(changed())
    assert isinstance(order, orders.Submission), order
    assert isinstance(plain, orders.Submission)
    assert (order.items, order.amounts) == (plain.items, plain.amounts)
    assert happened == plainly_happened


@pytest.mark.parametrize(
    "changes",
    [
        {"line_items": {"a": 1}},
        {"line_items": [LINE | {"price": "ten"}]},
        {"shipping_lines": "free", "billing_address": "none", "created_at": 7},
        {"tax_lines": 7, "taxes_included": "maybe"},
    ],
)
def test_no_odd_field_costs_the_payment(changes: Any) -> None:
    """The order is parked at worst; its money is booked."""
    _, happened = read_order(changed(**changes))
    assert [type(event) for event in happened] == [events.PaymentSucceeded]


def test_what_is_not_about_an_order_is_noted() -> None:
    (product,) = ADAPTER.read(posted({"id": 1, "title": "IPod"})).items
    assert product.event == events.Noted("no_order", NOW)
    (test,) = ADAPTER.read(changed(test=True)).items
    assert test.event == events.Noted("test", NOW)
    taking = shopify.adapter(account(SECRET, shop=SHOP, test_orders="taken", park_untracked=False))
    order, *happened = taking.read(changed(test=True, fulfillment_status="fulfilled")).items
    assert isinstance(order.event, orders.Submission)
    assert order.event.is_test
    assert [type(item.event) for item in happened] == [events.PaymentSucceeded, events.Shipped]


cents = st.integers(0, 10**7).map(lambda n: Decimal(n).scaleb(-2))


@st.composite
def lines(draw: st.DrawFn) -> tuple[dict[str, Any], Decimal, Decimal]:
    """Draw a line as Shopify shows it, what it costs, and its tax."""
    price, quantity = draw(cents), draw(st.integers(1, 9))
    full = price * quantity
    off = (full * draw(st.integers(0, 100)) / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
    tax = ((full - off) * draw(st.sampled_from([0, 7, 19])) / 100).quantize(Decimal("0.01"))
    shown = {
        "price": str(price),
        "quantity": quantity,
        "discount_allocations": [{"amount": str(off)}],
        "tax_lines": [{"price": str(tax)}],
    }
    return shown, full - off, tax


@settings(max_examples=200)
@given(
    st.lists(lines(), min_size=1, max_size=8),
    st.lists(lines(), max_size=2),
    st.booleans(),
    st.sampled_from([Decimal(0), Decimal("0.75"), Decimal("-0.75"), Decimal("0.01")]),
)
def test_whatever_adds_up_at_the_shop_adds_up_here(
    goods: Any, shipping: Any, is_included: bool, off: Decimal
) -> None:
    """The shop's own total, to the cent; lines that are worth less than it are for a person."""
    shipping = [({**shown, "quantity": 1}, cost, tax) for shown, cost, tax in shipping
                if shown["quantity"] == 1]  # fmt: skip
    total = sum((cost for _, cost, _ in [*goods, *shipping]), Decimal(0)) + off
    if not is_included:
        total += sum((tax for _, _, tax in [*goods, *shipping]), Decimal(0))
    order, _ = read_order(
        changed(
            total_price=str(total),
            taxes_included=is_included,
            line_items=[LINE | shown for shown, _, _ in goods],
            shipping_lines=[shown for shown, _, _ in shipping],
        )
    )
    if total < 0 or off == Decimal("0.75"):
        assert isinstance(order, events.Unmapped)
        return
    assert isinstance(order, orders.Submission), order
    assert order.amounts.payable == total
    validation.check(order, channels={"web"}, now=NOW, is_from_shop=True)


@settings(max_examples=200)
@given(st.one_of(bent(ORDER), bent(ORDER | {"refunds": [REFUND], "fulfillments": [PARCEL]})))
def test_bent_messages_are_storable_or_rejected(content: Any) -> None:
    """Any content that Shopify could sign is rejected or storable."""
    try:
        callback = posted(content)
    except (TypeError, ValueError):
        return
    verdict(ADAPTER, callback)


def test_rotation_and_rejections() -> None:
    both = shopify.adapter(account(NEXT_SECRET, SECRET, shop=SHOP))
    assert both.read(changed()).items
    assert both.read(posted(ORDER, secret=NEXT_SECRET)).items
    assert rejection(ADAPTER, posted(ORDER, secret=NEXT_SECRET)) == "bad_signature"
    assert rejection(ADAPTER, posted(ORDER, shop="other.myshopify.com")) == "not_ours"
    assert (
        rejection(ADAPTER, message(b"{}", {"X-Shopify-Shop-Domain": SHOP})) == "missing_signature"
    )


@pytest.mark.parametrize(
    ("secrets", "options", "channels", "says"),
    [
        ((), {"shop": SHOP}, ("web",), "1 or 2 secrets"),
        (("short",), {"shop": SHOP}, ("web",), "client secret"),
        ((SECRET,), {}, ("web",), "shop"),
        ((SECRET,), {"shop": "https://" + SHOP}, ("web",), "shop"),
        ((SECRET,), {"shop": SHOP}, ("web", "app"), "exactly one channel"),
    ],
)
def test_wrong_configuration(secrets: Any, options: Any, channels: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        shopify.adapter(contract.Account("main", secrets, options, channels))


@pytest.mark.parametrize("body", [b"[]", b"null", b'""', b"", b"7", b"{", b"\xff"])
def test_what_is_signed_is_parked_whatever_it_holds(body: bytes) -> None:
    """A shop that is told no switches its webhook off."""
    (item,) = ADAPTER.read(posted(body)).items
    assert isinstance(item.event, events.Unmapped)
