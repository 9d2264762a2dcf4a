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
        ("order.created", {"order_no": 1}, events.Noted("order.created", AT)),
        ("contact.created", None, events.Noted("contact.created", AT)),
    ],
)
def test_other_types(kind: str, data: Any, expected: events.Event) -> None:
    """Closing, shipping and delivering are events; every other type is noted."""
    assert read_one(ADAPTER, signed(content(kind, data))) == expected


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
        ("order.paid", PAYMENT | {"amount": float("nan")}),
        ("order.paid", PAYMENT | {"amount": "ten"}),
        ("order.paid", PAYMENT | {"amount": True}),
        ("order.paid", PAYMENT | {"amount": None}),
        ("order.paid", PAYMENT | {"amount": "1.5", "currency": "JPY"}),
        ("order.paid", PAYMENT | {"currency": "cny"}),
        ("order.paid", PAYMENT | {"currency": "XXX"}),
        ("order.paid", PAYMENT | {"order_no": ""}),
        ("order.paid", PAYMENT | {"order_no": 17}),
        ("order.paid", PAYMENT | {"order_no": "A" * 65}),
        ("order.paid", PAYMENT | {"order_no": "A\n"}),
        ("order.paid", PAYMENT | {"order_no": "A\x00"}),
        ("order.paid", PAYMENT | {"order_no": "\ud800"}),
        ("order.paid", PAYMENT | {"transaction_id": "A" * 129}),
        ("order.paid", PAYMENT | {"occurred_at": "2026-11-23T12:00:00"}),
        ("order.paid", PAYMENT | {"occurred_at": "0001-01-01T00:00:00+14:00"}),
        ("order.paid", PAYMENT | {"occurred_at": "9999-12-31T23:59:59-14:00"}),
        ("order.paid", PAYMENT | {"occurred_at": 1}),
        ("order.paid", {k: v for k, v in PAYMENT.items() if k != "transaction_id"}),
        ("order.paid", []),
        ("order.paid", None),
        ("refund.succeeded", REFUND | {"refunded_total": "9.00"}),
        ("refund.succeeded", REFUND | {"amount": None}),
        ("refund.succeeded", REFUND | {"amount": "0.00"}),
        ("refund.succeeded", REFUND | {"refund_no": ""}),
        ("refund.succeeded", REFUND | {"refund_no": "R" * 129}),
        ("order.shipped", SHIPMENT | {"carrier": ""}),
        ("order.shipped", SHIPMENT | {"carrier": " "}),
        ("order.shipped", SHIPMENT | {"carrier": "a\x00"}),
        ("order.shipped", SHIPMENT | {"carrier": "x" * 65}),
        ("order.shipped", SHIPMENT | {"tracking_no": "S F"}),
        ("order.shipped", {"order_no": "SO-1"}),
    ],
)
def test_malformed_data_is_rejected(kind: str, data: Any) -> None:
    """Fields that an event needs are present and in bounds, or the message is rejected."""
    assert rejection(ADAPTER, signed(content(kind, data))) == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"type":"order.paid","data":{}',
        b'{"type":"order.paid"}',
        b'{"type":7}',
        b'{"type":"a b"}',
        b'{"type":"' + b"a" * 129 + b'"}',
        b'{"type":"ping","timestamp":"2026-11-23T12:00:00"}',
        b'{"type":"ping","timestamp":"1999-12-31T23:59:59Z"}',
        b'{"type":"ping","timestamp":1}',
        b"[" * 200_000,
        b'{"type":"ping","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        json.dumps({"type": "order.paid", "data": PAYMENT}).encode(),
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
            content("order.delivered", {"order_no": "SO-1"}),
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
        (("whsec_",), {}, "not base64"),
        (("whsec_!!!!",), {}, "not base64"),
        (("whsec_\u00e9",), {}, "not base64"),
        (("whsec_" + base64.b64encode(b"x" * 23).decode(),), {}, "24 to 64 bytes"),
        (("whsec_" + base64.b64encode(b"x" * 65).decode(),), {}, "24 to 64 bytes"),
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
