"""How PayPal's adapter reads genuine events, and its configuration."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import events
from gateway.providers import contract, paypal, paypal_roots

from .paypal_samples import (
    ADAPTER,
    CAPTURE,
    CHAIN,
    NEXT_WEBHOOK_ID,
    OCCURRED,
    PAID,
    REFUND,
    URL,
    WEBHOOK_ID,
    disputed,
    event,
    learned,
    paid,
    refunded,
    signed,
    without,
)
from .support import account, bent, read_one, rejection, verdict

ORDER = {"purchase_units": [{"invoice_id": "SO-1001", "payments": {"captures": [CAPTURE]}}]}


def test_capture() -> None:
    """A completed capture is a payment, in major units, under the capture's number."""
    assert ADAPTER.read(PAID).items == [
        contract.Item(
            key="WH-58D329510W468432D-8HN650336L201105X",
            event=events.PaymentSucceeded(
                transaction_id="02335565G34798738",
                order_no="SO-1001",
                amount=Decimal("199.00"),
                currency="USD",
                occurred_at=OCCURRED,
            ),
        )
    ]


def test_refund() -> None:
    """A refund is itself alone; its capture names the order, not its own invoice number."""
    assert read_one(ADAPTER, signed(refunded())) == events.RefundSucceeded(
        transaction_id="02335565G34798738",
        order_no="",
        refund_no="55105082X5896632E",
        amount=Decimal("9.00"),
        cumulative=False,
        currency="USD",
        occurred_at=OCCURRED,
    )


def test_refund_names_its_capture_in_another_way() -> None:
    """Without the link, the related ids name the capture."""
    related = {"related_ids": {"order_id": "1W5313654M9708630", "capture_id": "3C679366HH908993F"}}
    result = read_one(ADAPTER, signed(refunded(links=[], supplementary_data=related)))
    assert events.transaction_id(result) == "3C679366HH908993F"


@pytest.mark.parametrize(
    "links",
    [
        [],
        [{"rel": "up", "href": "https://api.paypal.com/v2/checkout/orders/1W5313654M9708630"}],
        [{"rel": "self", "href": "https://api.paypal.com/v2/payments/captures/0233"}],
        [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/0233/refund"}],
        [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/"}],
        [{"rel": "up"}, {}],
    ],
)
def test_refund_of_nothing_is_parked(links: list[dict[str, str]]) -> None:
    """A refund that names no capture is money back all the same: a person must see it."""
    assert isinstance(read_one(ADAPTER, signed(refunded(links=links))), events.Unmapped)


@pytest.mark.parametrize("status", ["COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"])
def test_what_was_refunded_was_paid(status: str) -> None:
    """The capture may have moved on before the event was written."""
    assert isinstance(read_one(ADAPTER, signed(paid(status=status))), events.PaymentSucceeded)


@pytest.mark.parametrize("changes", [{"resource_version": "1.0"}, {"resource_type": "sale"}])
def test_other_versions_are_parked(changes: dict[str, str]) -> None:
    """The same event of the older interface has another shape."""
    for content in (paid(), refunded()):
        assert isinstance(read_one(ADAPTER, signed(content | changes)), events.Unmapped)


def test_the_version_may_be_left_out() -> None:
    """PayPal's own samples do not always name it."""
    assert read_one(ADAPTER, signed(without(paid(), "resource_version"))) == read_one(ADAPTER, PAID)


@pytest.mark.parametrize("number", [None, "", "SO 1", "SO\n", "S\x00", "S" * 65, "订单", 7])
def test_payment_without_order_number(number: Any) -> None:
    """Money counts without one: PayPal allows any 127 characters in an invoice number."""
    result = read_one(ADAPTER, signed(paid(invoice_id=number)))
    assert isinstance(result, events.PaymentSucceeded)
    assert result.order_no == ""


def test_number_that_is_no_text_is_rejected() -> None:
    """Half a surrogate pair is not JSON that PayPal could have written."""
    assert rejection(ADAPTER, signed(paid(invoice_id="\ud800"))) == "malformed"


def test_order_no_field_is_an_option() -> None:
    """The field of the order number is configurable."""
    assert events.order_no(read_one(learned(order_no_field="custom_id"), PAID)) == "cart-7"


def test_merchant_must_match() -> None:
    """With a merchant configured, money of another one is rejected."""
    ours, theirs = learned(merchant_id="3SQBR4YEWZ4BA"), learned(merchant_id="OTHER00000000")
    for content in (paid(), refunded()):
        assert read_one(ours, signed(content)) == read_one(ADAPTER, signed(content))
        assert rejection(theirs, signed(content)) == "not_ours"
    assert ours.read(signed(event("PAYMENT.CAPTURE.DENIED", {}))).items


@pytest.mark.parametrize(
    "content",
    [
        paid(payee={"email_address": "merchant@example.com"}),
        event("PAYMENT.CAPTURE.COMPLETED", without(CAPTURE, "payee")),
    ],
)
def test_a_payment_that_names_no_merchant_is_parked(content: Any) -> None:
    """It may be another merchant's; without the option it is booked."""
    ours = learned(merchant_id="3SQBR4YEWZ4BA")
    assert isinstance(read_one(ours, signed(content)), events.Unmapped)
    assert isinstance(read_one(ADAPTER, signed(content)), events.PaymentSucceeded)


def test_a_refund_need_not_name_the_merchant() -> None:
    """It is that of the capture it names."""
    content = event("PAYMENT.CAPTURE.REFUNDED", without(REFUND, "payer"))
    ours = learned(merchant_id="3SQBR4YEWZ4BA")
    assert isinstance(read_one(ours, signed(content)), events.RefundSucceeded)


@pytest.mark.parametrize(
    ("value", "code", "amount"),
    [
        ("0.01", "USD", "0.01"),
        ("0.00", "USD", "0"),
        ("100", "EUR", "100.00"),
        ("100.0", "EUR", "100.00"),
        ("500", "JPY", "500"),
        ("500.00", "JPY", "500"),
        ("1500", "HUF", "1500.00"),
        ("1500.00", "TWD", "1500.00"),
        ("999999999999.99", "GBP", "999999999999.99"),
    ],
)
def test_amounts(value: str, code: str, amount: str) -> None:
    """PayPal's text becomes the exact amount, with the decimals of ISO 4217."""
    result = read_one(ADAPTER, signed(paid(amount={"value": value, "currency_code": code})))
    assert isinstance(result, events.PaymentSucceeded)
    assert (str(result.amount), result.currency) == (amount, code)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("10.5", "HUF"),
        ("10.50", "TWD"),
        ("10.5", "JPY"),
        ("1.001", "USD"),
        ("-1.00", "USD"),
        ("+1.00", "USD"),
        ("1e3", "USD"),
        ("1,000.00", "USD"),
        ("NaN", "USD"),
        ("", "USD"),
        (" 1", "USD"),
        ("\u0661", "USD"),
        ("1" * 3000, "USD"),
        (1, "USD"),
        (1.5, "USD"),
        (None, "USD"),
        ("1.00", "usd"),
        ("1.00", "XXX"),
        ("1.00", None),
    ],
)
def test_malformed_money_is_parked(value: Any, code: Any) -> None:
    """Money of the wrong shape is neither guessed nor dropped."""
    money = {"value": value, "currency_code": code}
    for content in (paid(amount=money), refunded(amount=money)):
        assert isinstance(read_one(ADAPTER, signed(content)), events.Unmapped)


def test_a_refund_of_zero_is_parked() -> None:
    """Nothing that went back is no refund."""
    nothing = {"value": "0.00", "currency_code": "USD"}
    assert isinstance(read_one(ADAPTER, signed(refunded(amount=nothing))), events.Unmapped)


@pytest.mark.parametrize(
    "content",
    [
        paid(id=""),
        paid(id="C" * 129),
        paid(id=7),
        paid(amount=None),
        refunded(id="a b"),
        refunded(links={}),
        event("PAYMENT.CAPTURE.COMPLETED", None),
    ],
)
def test_a_resource_that_cannot_be_booked_is_parked(content: Any) -> None:
    assert isinstance(read_one(ADAPTER, signed(content)), events.Unmapped)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""}, {"id": "W" * 129}, {"id": "W H"}, {"create_time": "2026-11-23T11:59:07"},
        {"create_time": "0001-01-01T00:00:00+14:00"}, {"create_time": 1},
    ],
)  # fmt: skip
def test_money_counts_without_a_plain_id_or_time(changes: dict[str, Any]) -> None:
    received = signed(paid() | changes)
    (item,), (again,) = ADAPTER.read(received).items, ADAPTER.read(received).items
    assert isinstance(item.event, events.PaymentSucceeded)
    assert (item.key, 1 <= len(item.key) <= 128) == (again.key, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"NaN",
        b'{"id":',
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"x":' * 100_000 + b"1" + b"}" * 100_000,
        json.dumps(without(event("A.B", {}), "event_type")).encode(),
    ],
)
def test_malformed_bodies_are_rejected(body: bytes) -> None:
    """A valid signature over nonsense is rejected as malformed."""
    assert rejection(ADAPTER, signed(body)) == "malformed"


def test_huge_numbers_and_doubled_keys() -> None:
    """Unread fields may hold anything; of a duplicate key one value is used."""
    body = json.dumps(paid()).encode()
    padded = body.replace(b'"final_capture": true', b'"final_capture": 1' + b"0" * 400)
    assert read_one(ADAPTER, signed(padded)) == read_one(ADAPTER, PAID)
    doubled = body.replace(b'"invoice_id"', b'"invoice_id": "SO-1", "invoice_id"')
    assert events.order_no(read_one(ADAPTER, signed(doubled))) == "SO-1001"


@given(
    st.sampled_from(
        [
            paid(),
            refunded(),
            event("PAYMENT.CAPTURE.REVERSED", REFUND),
            event("PAYMENT.REFUND.FAILED", REFUND | {"status": "FAILED"}),
            event("CHECKOUT.ORDER.COMPLETED", ORDER),
            disputed("CREATED"),
            disputed("RESOLVED", dispute_outcome={"outcome_code": "RESOLVED_BUYER_FAVOUR"}),
        ]
    ).flatmap(bent)
)
def test_bent_events_are_storable_or_rejected(content: Any) -> None:
    """Any content that PayPal could sign is rejected or storable."""
    verdict(ADAPTER, signed(content))


@pytest.mark.parametrize(
    ("answer", "status"), [("accepted", 200), ("later", 503), ("rejected", 400)]
)
def test_replies(answer: contract.Answer, status: int) -> None:
    """Only accepted is a 2xx, and every reply is JSON."""
    reply = ADAPTER.reply(answer)
    assert (reply.status, reply.content_type) == (status, "application/json")
    assert json.loads(reply.body) == {"received": answer == "accepted"}


@pytest.mark.parametrize(
    ("secrets", "options", "says"),
    [
        ((), {}, "1 or 2 secrets"),
        ((WEBHOOK_ID, NEXT_WEBHOOK_ID, WEBHOOK_ID), {}, "1 or 2 secrets"),
        (("",), {}, "not a webhook id"),
        (("WEBHOOK_ID",), {}, "not a webhook id"),
        ((WEBHOOK_ID + "\n",), {}, "not a webhook id"),
        (("4JH86294D|297924G",), {}, "not a webhook id"),
        (("4JH86294D6297924\u0661",), {}, "not a webhook id"),
        ((WEBHOOK_ID,), {"enviroment": "live"}, "enviroment"),
        ((WEBHOOK_ID,), {"environment": "test"}, "environment"),
        ((WEBHOOK_ID,), {"tolerance_s": 0}, "tolerance_s"),
        ((WEBHOOK_ID,), {"tolerance_s": 10**7}, "tolerance_s"),
        ((WEBHOOK_ID,), {"merchant_id": "me@example.com"}, "merchant_id"),
        ((WEBHOOK_ID,), {"order_no_field": "id"}, "order_no_field"),
        ((WEBHOOK_ID,), {"roots": "no"}, "option roots"),
        ((WEBHOOK_ID,), {"roots": "\ud800"}, "option roots"),
        ((WEBHOOK_ID,), {"chains": {URL: "no"}}, "option chains"),
        ((WEBHOOK_ID,), {"chains": {URL + "?a": CHAIN}}, "not of PayPal's live"),
        ((WEBHOOK_ID,), {"environment": "sandbox", "chains": {URL: CHAIN}}, "PayPal's sandbox"),
        ((WEBHOOK_ID,), {"chains": dict.fromkeys(map(str, range(9)), CHAIN)}, "chains"),
    ],
)
def test_wrong_configuration(secrets: tuple[str, ...], options: Any, says: str) -> None:
    """A wrong account raises an error that names the setting and hides the secret."""
    with pytest.raises(ValueError, match=says) as caught:
        paypal.adapter(account(*secrets, **options))
    assert "shop" in str(caught.value)
    assert not any(secret.strip() and secret in str(caught.value) for secret in secrets)


def test_the_default_trusts_digicert() -> None:
    """An account needs nothing but its webhook id; every root is named in the list itself."""
    adapter = paypal.adapter(account(WEBHOOK_ID))
    assert isinstance(adapter, paypal.PayPal)
    named = [line for line in paypal_roots.TRUSTED.splitlines() if line.startswith("DigiCert ")]
    assert len(named) == paypal_roots.TRUSTED.count("BEGIN CERTIFICATE") == 5
