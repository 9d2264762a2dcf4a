"""How Stripe's adapter reads genuine events, and its configuration."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import events
from gateway.providers import contract, stripe

from .stripe_samples import (
    ADAPTER,
    CHARGE,
    CREATED,
    DISPUTE,
    INTENT,
    INVOICE,
    INVOICE_PAYMENT,
    NEXT_SECRET,
    PAID,
    REFUND,
    SECRET,
    SESSION,
    SUBSCRIBED,
    event,
    signed,
)
from .support import (
    account,
    bent,
    read_one,
    rejection,
    verdict,
)


def test_payment_intent() -> None:
    """A succeeded intent is a payment of what was received, in major units."""
    assert ADAPTER.read(PAID).items == [
        contract.Item(
            key="evt_1NG8Du2eZvKYlo2CUI79vXWy",
            event=events.PaymentSucceeded(
                transaction_id="pi_3MtwBwLkdIwHu7ix28a3tqPa",
                order_no="SO-1001",
                amount=Decimal("199.00"),
                currency="USD",
                occurred_at=CREATED,
            ),
        )
    ]


@pytest.mark.parametrize("kind", ["customer.created", "charge.updated", "payout.paid", "refunds"])
def test_other_types_are_noted(kind: str) -> None:
    """An event without effect on orders is recorded whatever its snapshot."""
    assert read_one(ADAPTER, signed(event(kind, {"odd": [1]}))) == events.Noted(kind, CREATED)


@pytest.mark.parametrize("metadata", [None, {}, {"other": "x"}, {"order_no": ""}])
def test_payment_without_order_number(metadata: Any) -> None:
    """Money that names no order still arrives, with an empty order number."""
    intent = INTENT | {"metadata": metadata}
    result = read_one(ADAPTER, signed(event("payment_intent.succeeded", intent)))
    assert isinstance(result, events.PaymentSucceeded)
    assert result.order_no == ""


def test_order_no_key_is_an_option() -> None:
    """The shop chooses under which key of metadata its order number stands."""
    adapter = stripe.adapter(account(SECRET, order_no_key="basket"))
    assert events.order_no(read_one(adapter, PAID)) == "7"


@pytest.mark.parametrize(
    ("minor", "code", "amount"),
    [
        (1, "usd", "0.01"),
        (0, "usd", "0"),
        (500, "jpy", "500"),
        (500, "isk", "5"),
        (500, "ugx", "5"),
        (500, "mga", "500.00"),
        (5120, "kwd", "5.120"),
        (1045, "huf", "10.45"),
        (99_999_999_999_999, "eur", "999999999999.99"),
    ],
)
def test_amounts(minor: int, code: str, amount: str) -> None:
    """Stripe's integer becomes the exact amount, also where its unit is not ISO 4217's."""
    intent = INTENT | {"amount_received": minor, "currency": code}
    result = read_one(ADAPTER, signed(event("payment_intent.succeeded", intent)))
    assert isinstance(result, events.PaymentSucceeded)
    assert (result.amount, result.currency) == (Decimal(amount), code.upper())


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_received": -1},
        {"amount_received": 10**14 + 1},
        {"amount_received": 10**400},
        {"amount_received": 199.0},
        {"amount_received": "19900"},
        {"amount_received": True},
        {"amount_received": None},
        {"amount_received": 501, "currency": "isk"},
        {"amount_received": 10**14, "currency": "mga"},
        {"currency": "xyz"},
        {"currency": ""},
        {"currency": None},
        {"id": ""},
        {"id": "pi_\u00e9"},
        {"id": "p" * 129},
    ],
)
def test_malformed_money_is_parked(changes: dict[str, Any]) -> None:
    """Money of the wrong shape is neither guessed nor dropped, nor sent again for three days."""
    received = signed(event("payment_intent.succeeded", INTENT | changes))
    assert isinstance(read_one(ADAPTER, received), events.Unmapped)


@pytest.mark.parametrize(
    ("kind", "snapshot"),
    [
        ("payment_intent.succeeded", None),
        ("checkout.session.completed", SESSION | {"currency": None}),
        ("charge.refunded", CHARGE | {"amount_refunded": 0}),
        ("charge.refunded", CHARGE | {"amount_refunded": None}),
        ("charge.dispute.created", {"odd": [1]}),
        ("charge.dispute.of_a_later_version", DISPUTE | {"amount": "19900"}),
        ("refund.updated", {"odd": [1]}),
        ("refund.failed", REFUND | {"currency": "xyz"}),
        ("charge.refund.updated", REFUND | {"payment_intent": None, "charge": None}),
        ("invoice.paid", INVOICE | {"amount_paid": None}),
        ("invoice_payment.paid", INVOICE_PAYMENT | {"payment": {"type": "payment_intent"}}),
    ],
)
def test_a_snapshot_that_cannot_be_booked_is_parked(kind: str, snapshot: Any) -> None:
    result = read_one(ADAPTER, signed(event(kind, snapshot)))
    assert isinstance(result, events.Unmapped)
    assert (result.kind, bool(result.detail)) == (kind, True)
    without_data = read_one(ADAPTER, signed(event(kind, snapshot, data=None)))
    assert isinstance(without_data, events.Unmapped)


ODD_METADATA: list[Any] = [
    {"order_no": number}
    for number in ("Order 1001", "1001 ", "SO\n", "S\x00", "S" * 65, "订单1001", "", 7, None)
]


#: Every kind of event about money, and what it is read as.
MONEY: list[tuple[str, dict[str, Any], type[object]]] = [
    ("payment_intent.succeeded", INTENT, events.PaymentSucceeded),
    ("checkout.session.completed", SESSION, events.PaymentSucceeded),
    ("checkout.session.completed", SUBSCRIBED, events.PaymentSucceeded),
    ("checkout.session.async_payment_succeeded", SESSION, events.PaymentSucceeded),
    ("charge.succeeded", CHARGE | {"payment_intent": None}, events.PaymentSucceeded),
    ("charge.captured", CHARGE | {"payment_intent": None}, events.PaymentSucceeded),
    ("invoice.paid", INVOICE | {"parent": None}, events.PaymentSucceeded),
    ("invoice_payment.paid", INVOICE_PAYMENT, events.PaymentSucceeded),
    ("charge.refunded", CHARGE, events.RefundSucceeded),
    ("refund.failed", REFUND, events.RefundFailed),
    ("refund.updated", REFUND, events.RefundFailed),
    ("charge.refund.updated", REFUND, events.RefundFailed),
    ("charge.dispute.created", DISPUTE, events.Dispute),
    ("charge.dispute.closed", DISPUTE | {"status": "lost"}, events.Dispute),
]


@pytest.mark.parametrize("metadata", [*ODD_METADATA, [], "1001", 7, None])
@pytest.mark.parametrize(("kind", "snapshot", "means"), MONEY)
def test_money_counts_whatever_the_merchant_entered(
    kind: str, snapshot: dict[str, Any], means: type[object], metadata: Any
) -> None:
    """The references are the merchant's own; the money waits for its order."""
    odd = snapshot | {"metadata": metadata, "client_reference_id": "R" * 80}
    result = read_one(ADAPTER, signed(event(kind, odd)))
    assert isinstance(result, means)
    assert events.order_no(result) == ""


@pytest.mark.parametrize("reference", ["R" * 80, "R" * 200, "Order 1001", "", None, 7])
def test_money_counts_whatever_client_reference_is_set(reference: Any) -> None:
    changes = {"client_reference_id": reference, "metadata": {}}
    result = read_one(ADAPTER, signed(event("checkout.session.completed", SESSION | changes)))
    assert isinstance(result, events.PaymentSucceeded)
    assert result.order_no == ""


def test_a_reference_that_is_a_number_counts_beside_metadata_that_is_none() -> None:
    odd = SESSION | {"metadata": {"order_no": "Order 1001"}, "client_reference_id": "SO-1001"}
    result = read_one(ADAPTER, signed(event("checkout.session.completed", odd)))
    assert events.order_no(result) == "SO-1001"


@pytest.mark.parametrize(
    "changes",
    [{"created": -1}, {"created": 10**30}, {"id": ""}, {"id": "e e"}],
)
def test_money_counts_without_a_plain_time_or_id(changes: dict[str, Any]) -> None:
    received = signed(event("payment_intent.succeeded", INTENT, **changes))
    (item,), (again,) = ADAPTER.read(received).items, ADAPTER.read(received).items
    assert isinstance(item.event, events.PaymentSucceeded)
    assert (item.key, 1 <= len(item.key) <= 128) == (again.key, True)


@pytest.mark.parametrize("kind", ["a b", "a" * 129, "", "é"])
def test_a_kind_that_cannot_be_stored_is_noted_as_unknown(kind: str) -> None:
    result = read_one(ADAPTER, signed(event(kind, {})))
    assert isinstance(result, events.Noted)
    assert result.kind == "unknown"


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
        b'{"id":"\xff","object":"event","type":"a","created":1,"livemode":true}',
        b"[" * 200_000,
        b'{"x":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_malformed_bodies_are_rejected(body: bytes) -> None:
    """A valid signature over nonsense is rejected as malformed."""
    assert rejection(ADAPTER, signed(body)) == "malformed"


def test_thin_events_are_unsupported() -> None:
    """A thin event is rejected: an acknowledgement would lose an event that cannot be booked."""
    thin = {
        "id": "evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0",
        "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered",
        "created": "2026-11-23T11:59:00.000Z",
        "livemode": True,
        "related_object": {"id": "mtr_1", "type": "billing.meter"},
    }
    assert rejection(ADAPTER, signed(thin)) == "unsupported"


def test_mode_must_match() -> None:
    """Test events are not taken by a live account, nor live events by a test account."""
    test_event = signed(event("payment_intent.succeeded", INTENT, livemode=False))
    assert rejection(ADAPTER, test_event) == "not_ours"
    test_adapter = stripe.adapter(account(SECRET, livemode=False))
    assert read_one(test_adapter, test_event) == read_one(ADAPTER, PAID)
    assert rejection(test_adapter, PAID) == "not_ours"


def test_connected_account_must_match() -> None:
    """An event of a connected account is taken only by the account configured for it."""
    theirs = signed(event("payment_intent.succeeded", INTENT, account="acct_1"))
    assert rejection(ADAPTER, theirs) == "not_ours"
    connected = stripe.adapter(account(SECRET, connect_account="acct_1"))
    assert read_one(connected, theirs) == read_one(ADAPTER, PAID)
    assert rejection(connected, PAID) == "not_ours"


@given(
    st.sampled_from(
        [
            *(event(kind, snapshot) for kind, snapshot, _ in MONEY),
            event("payment_intent.canceled", INTENT | {"amount_received": 0}),
            event("payment_intent.amount_capturable_updated", INTENT),
            event("radar.early_fraud_warning.created", DISPUTE),
        ]
    ).flatmap(bent)
)
def test_bent_events_are_storable_or_rejected(content: Any) -> None:
    """Any content that Stripe could sign is rejected or storable."""
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
        ((SECRET, NEXT_SECRET, SECRET), {}, "1 or 2 secrets"),
        (("",), {}, "whsec_"),
        (("sk_live_0123456789abcdef",), {}, "not an API key"),
        ((SECRET + "\n",), {}, "whsec_"),
        (("whsec_short",), {}, "cut short"),
        (("whsec_\u00e9" + "a" * 30,), {}, "whsec_"),
        ((SECRET,), {"livemod": True}, "livemod"),
        ((SECRET,), {"livemode": "yes"}, "livemode"),
        ((SECRET,), {"tolerance_s": 0}, "tolerance_s"),
        ((SECRET,), {"connect_account": "me"}, "connect_account"),
        ((SECRET,), {"order_no_key": ""}, "order_no_key"),
    ],
)
def test_wrong_configuration(secrets: tuple[str, ...], options: Any, says: str) -> None:
    """A wrong account raises an error that names the setting and hides the secret."""
    with pytest.raises(ValueError, match=says) as caught:
        stripe.adapter(account(*secrets, **options))
    assert "shop" in str(caught.value)
    assert not any(secret.strip() and secret in str(caught.value) for secret in secrets)
