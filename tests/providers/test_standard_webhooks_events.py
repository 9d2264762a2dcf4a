"""How the Standard Webhooks adapter reads genuine messages, and its configuration."""

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import events
from gateway.providers import contract, standard_webhooks

from .standard_webhooks_samples import (
    ADAPTER,
    AT,
    DISPUTE,
    ID,
    KEY,
    PAID,
    PAYMENT,
    REFUND,
    SECRET,
    SHIPMENT,
    content,
    hmac_entry,
    signed,
)
from .support import (
    NOW,
    account,
    bent,
    read_one,
    rejection,
    verdict,
)


def test_payment() -> None:
    """A payment is read exactly, its time is the envelope's in UTC, its key the webhook-id."""
    expected = events.PaymentSucceeded("TX-1", "SO-1001", Decimal("199.00"), "CNY", AT)
    assert ADAPTER.read(PAID).items == [contract.Item(ID, expected)]
    assert read_one(ADAPTER, signed(content("order.paid", PAYMENT))) == expected


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ('"199.00"', "199.00"),
        ("199", "199"),
        ("0.1", "0.1"),
        ("199.000", "199"),
        ("1e2", "100"),
        ("999999999999.99", "999999999999.99"),
    ],
)
def test_amounts_are_exact(written: str, amount: str) -> None:
    """A decimal string and a JSON number are the same exact amount."""
    body = json.dumps(content("order.paid", PAYMENT)).replace('"199.00"', written)
    event = read_one(ADAPTER, signed(body.encode()))
    assert isinstance(event, events.PaymentSucceeded)
    assert event.amount == Decimal(amount)
    assert event.amount.as_tuple().exponent == -2


def test_occurred_at_comes_first() -> None:
    """The time in data counts before the envelope's."""
    data = PAYMENT | {"occurred_at": "2026-11-23T03:00:00-05:00"}
    event = read_one(ADAPTER, signed(content("order.paid", data)))
    assert event.occurred_at == datetime(2026, 11, 23, 8, tzinfo=UTC)
    assert event.occurred_at.tzinfo is UTC


def test_refund_of_its_own() -> None:
    """A refund with amount is this refund alone, named by its number."""
    for kind in ("payment.refunded", "refund.succeeded"):
        assert read_one(ADAPTER, signed(content(kind, REFUND))) == events.RefundSucceeded(
            "TX-1", "SO-1001", "R-1", Decimal("9.00"), cumulative=False, currency="CNY",
            occurred_at=AT,
        )  # fmt: skip


def test_refund_so_far() -> None:
    """A refund with refunded_total is cumulative and needs neither order nor refund number."""
    data = {"transaction_id": "TX-1", "refunded_total": 12.5, "currency": "CNY", "order_no": None}
    assert read_one(ADAPTER, signed(content("refund.succeeded", data))) == events.RefundSucceeded(
        "TX-1", "", "", Decimal("12.50"), cumulative=True, currency="CNY", occurred_at=AT
    )


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("order.cancelled", {"order_no": "SO-1"}, events.Closed("SO-1", "cancelled", AT)),
        ("payment.expired", {"order_no": "SO-1"}, events.Closed("SO-1", "timed_out", AT)),
        ("order.shipped", SHIPMENT, events.Shipped("SO-1001", "顺丰速运", "SF1234567890", AT)),
        ("order.delivered", {"order_no": "SO-1"}, events.Delivered("SO-1", AT)),
        ("order.pays_on_delivery", {"order_no": "SO-1"}, events.PaysOnDelivery("SO-1", AT)),
        (
            "order.delivered",
            {"order_no": "SO-1", "tracking_no": "SF1"},
            events.Delivered("SO-1", AT, "SF1"),
        ),
        ("order.delivered", {"tracking_no": "SF1"}, events.Delivered("", AT, "SF1")),
        ("order.shipped", {"order_no": "SO-1"}, events.Shipped("SO-1", "", "", AT)),
        ("order.accepted", {"order_no": 7}, events.Accepted("7", "shop", "", AT)),
        (
            "order.accepted",
            {"order_no": "SO-1", "reference": "WMS-77"},
            events.Accepted("SO-1", "shop", "WMS-77", AT),
        ),
        # It counts without a number that cannot be stored.
        (
            "order.accepted",
            {"order_no": "SO-1", "reference": "a b"},
            events.Accepted("SO-1", "shop", "", AT),
        ),
        ("order.created", {"order_no": 1}, events.Noted("order.created", AT)),
        ("contact.created", None, events.Noted("contact.created", AT)),
    ],
)
def test_other_types(kind: str, data: Any, expected: events.Event) -> None:
    """Closing, shipping and delivering are events; types of other families are noted."""
    assert read_one(ADAPTER, signed(content(kind, data))) == expected


def test_an_account_may_speak_for_a_target_of_another_name() -> None:
    """Whose word an acceptance is stands in the settings, whatever the message says."""
    adapter = standard_webhooks.adapter(account(SECRET, target="wms"))
    data = {"order_no": "SO-1", "target": "erp"}
    event = read_one(adapter, signed(content("order.accepted", data)))
    assert event == events.Accepted("SO-1", "wms", "", AT)


def test_noted_without_time() -> None:
    """A message that names no time and has no effect is noted as of its signature."""
    assert read_one(ADAPTER, signed({"type": "ping"})) == events.Noted("ping", NOW)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("order.paid", PAYMENT | {"amount": "-1"}),
        ("order.paid", PAYMENT | {"amount": "1.001"}),
        ("order.paid", PAYMENT | {"amount": "1E+400"}),
        ("order.paid", PAYMENT | {"amount": "1e999999999999999999"}),
        ("order.paid", PAYMENT | {"amount": 10**400}),
        ("order.paid", PAYMENT | {"amount": 10**12}),
        ("order.paid", PAYMENT | {"amount": "NaN"}),
        ("order.paid", PAYMENT | {"amount": "sNaN"}),
        ("order.paid", PAYMENT | {"amount": "Infinity"}),
        ("order.paid", PAYMENT | {"amount": "ten"}),
        ("order.paid", PAYMENT | {"amount": True}),
        ("order.paid", PAYMENT | {"amount": None}),
        ("order.paid", PAYMENT | {"amount": "1.5", "currency": "JPY"}),
        ("order.paid", PAYMENT | {"currency": "yuan"}),
        ("order.paid", PAYMENT | {"currency": "u\u017fd"}),
        ("order.paid", PAYMENT | {"currency": "XXX"}),
        ("order.paid", PAYMENT | {"order_no": []}),
        ("order.paid", PAYMENT | {"transaction_id": "A" * 129}),
        ("order.paid", {k: v for k, v in PAYMENT.items() if k != "transaction_id"}),
        ("order.paid", []),
        ("order.paid", None),
        ("refund.succeeded", REFUND | {"refunded_total": "9.00"}),
        ("refund.succeeded", REFUND | {"amount": None}),
        ("refund.succeeded", REFUND | {"amount": "0.00"}),
        ("refund.succeeded", REFUND | {"refund_no": ""}),
        ("refund.succeeded", REFUND | {"refund_no": "R" * 129}),
        ("order.shipped", SHIPMENT | {"carrier": " "}),
        ("order.shipped", SHIPMENT | {"carrier": "a\x00"}),
        ("order.shipped", SHIPMENT | {"carrier": "x" * 65}),
        ("order.shipped", SHIPMENT | {"tracking_no": "S F"}),
        ("order.shipped", SHIPMENT | {"parcel_no": "P" * 65}),
        ("order.shipped", {"carrier": "dhl", "tracking_no": "1"}),
        ("order.delivered", {}),
        ("order.delivered", {"order_no": ""}),
        ("order.pays_on_delivery", {"order_no": "Order 7"}),
        ("refund.failed", REFUND | {"amount": None}),
        ("refund.failed", REFUND | {"amount": "0"}),
        ("refund.failed", {"refunded_total": "9.00", "transaction_id": "TX-1", "currency": "CNY"}),
        ("dispute.opened", DISPUTE | {"dispute_no": ""}),
        ("dispute.lost", DISPUTE | {"amount": "0"}),
        ("dispute.won", DISPUTE | {"amount": None}),
        ("dispute.won", DISPUTE | {"transaction_id": "A B"}),
    ],
)
def test_data_of_a_shape_of_its_own_is_parked(kind: str, data: Any) -> None:
    """The signature is true and the type known: a sender may give ``data`` any shape."""
    result = read_one(ADAPTER, signed(content(kind, data)))
    assert isinstance(result, events.Unmapped)
    assert (result.kind, bool(result.detail)) == (kind, True)


def test_a_payment_without_order_number_or_data_is_parked() -> None:
    nameless = {name: value for name, value in PAYMENT.items() if name != "order_no"}
    for body in ({"type": "order.paid", "data": nameless}, {"type": "order.paid"}):
        assert isinstance(read_one(ADAPTER, signed(body)), events.Unmapped)


@pytest.mark.parametrize("number", ["", "A" * 65, "A\n", "A\x00", "Order 1001", "订单1001"])
def test_money_counts_whatever_the_order_is_called(number: str) -> None:
    result = read_one(ADAPTER, signed(content("order.paid", PAYMENT | {"order_no": number})))
    assert isinstance(result, events.PaymentSucceeded)
    assert result.order_no == ""


ODD_TIMES = [
    "2026-11-23T12:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "1999-12-31T23:59:59Z", 1, [], None,
]  # fmt: skip


@pytest.mark.parametrize("time", ODD_TIMES)
def test_money_counts_without_a_time_that_can_be_read(time: Any) -> None:
    """The signature's time stands in for it."""
    envelope = {"type": "order.paid", "timestamp": time, "data": PAYMENT | {"occurred_at": time}}
    result = read_one(ADAPTER, signed(envelope))
    assert isinstance(result, events.PaymentSucceeded)
    assert result.occurred_at == NOW


@pytest.mark.parametrize("kind", ["a b", "a" * 129, ""])
def test_a_type_that_cannot_be_stored_is_noted_as_unknown(kind: str) -> None:
    result = read_one(ADAPTER, signed({"type": kind}))
    assert isinstance(result, events.Noted)
    assert result.kind == "unknown"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"type":"order.paid","data":{}',
        b'{"type":7}',
        b"[" * 200_000,
        b'{"type":"ping","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    ],
)
def test_malformed_bodies_are_rejected(body: bytes) -> None:
    """A valid signature over nonsense is rejected as malformed."""
    assert rejection(ADAPTER, signed(body)) == "malformed"


@given(
    st.sampled_from(
        [
            content("order.paid", PAYMENT),
            content("refund.succeeded", REFUND),
            content("order.cancelled", {"order_no": "SO-1"}),
            content("order.shipped", SHIPMENT),
            content("order.delivered", {"order_no": "SO-1", "tracking_no": "SF1"}),
            content("order.pays_on_delivery", {"order_no": "SO-1"}),
            content("refund.failed", REFUND),
            content("dispute.opened", DISPUTE | {"reason": "x", "due_at": "2026-12-03T12:00:00Z"}),
            content("ping", {}),
        ]
    ).flatmap(bent)
)
def test_bent_messages_are_storable_or_rejected(payload: Any) -> None:
    """Any content that the sender could sign is rejected or storable."""
    verdict(ADAPTER, signed(payload))


@pytest.mark.parametrize(
    ("answer", "status"), [("accepted", 200), ("later", 503), ("rejected", 400)]
)
def test_replies(answer: contract.Answer, status: int) -> None:
    """Only accepted is a 2xx, and nothing is 410, which would switch the endpoint off."""
    reply = ADAPTER.reply(answer)
    assert (reply.status, reply.content_type) == (status, "application/json")
    assert json.loads(reply.body) == {"received": answer == "accepted"}


@pytest.mark.parametrize(
    ("secrets", "options", "says"),
    [
        ((), {}, "1 or 2 secrets"),
        ((SECRET,) * 3, {}, "1 or 2 secrets"),
        (("",), {}, "whsec_"),
        ((SECRET.removeprefix("whsec_"),), {}, "whsec_"),
        (("whsec_",), {}, "nothing after"),
        (("whsec_!!!!",), {}, "not base64"),
        (("whsec_\u00e9",), {}, "not base64"),
        (("whsec_" + base64.b64encode(b"x" * 23).decode(),), {}, "not of 24 to 64"),
        (("whsec_" + base64.b64encode(b"x" * 65).decode(),), {}, "not of 24 to 64"),
        (("whpk_" + base64.b64encode(b"x" * 31).decode(),), {}, "Ed25519"),
        (("whsk_" + base64.b64encode(KEY).decode(),), {}, "private key"),
        ((SECRET,), {"tolerance_s": 3601}, "tolerance_s"),
        ((SECRET,), {"secret": "x"}, "secret"),
    ],
)
def test_wrong_configuration(secrets: tuple[str, ...], options: Any, says: str) -> None:
    """A wrong account raises an error that names the setting and hides the secret."""
    with pytest.raises(ValueError, match=says) as caught:
        standard_webhooks.adapter(account(*secrets, **options))
    assert "shop" in str(caught.value)
    assert not any(len(s) > 8 and s in str(caught.value) for s in secrets)


@pytest.mark.parametrize("size", [24, 64])
def test_sizes_of_secrets(size: int) -> None:
    """Keys of 24 and of 64 bytes are within the specification."""
    key = b"k" * size
    adapter = standard_webhooks.adapter(account("whsec_" + base64.b64encode(key).decode()))
    assert adapter.read(signed(PAID.body, entry=lambda text: hmac_entry(text, key))).items
