"""How Adyen's adapter reads genuine messages, and its configuration."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import events, money
from gateway.providers import adyen, adyen_events, adyen_items, contract

from .adyen_samples import (
    ADAPTER,
    AT,
    NEXT_SECRET,
    OPTIONS,
    PAID,
    PAYMENT,
    REFUND,
    SECRET,
    envelope,
    posted,
    signed,
    with_signature,
)
from .support import NOW, account, bent, read_one, rejection, verdict


def read_changed(changes: dict[str, Any], item: dict[str, Any] = PAYMENT) -> events.Event:
    return read_one(ADAPTER, signed(item | changes))


def test_payment() -> None:
    """A successful authorisation is a payment of the order that merchantReference names."""
    assert ADAPTER.read(PAID).items == [
        contract.Item(
            key="NC6HT9CRT65ZGN82:AUTHORISATION:true",
            event=events.PaymentSucceeded(
                transaction_id="NC6HT9CRT65ZGN82",
                order_no="SO-1001",
                amount=Decimal("199.00"),
                currency="EUR",
                occurred_at=AT,
            ),
        )
    ]


def test_refund() -> None:
    """A refund is one refund of the payment it names; its own reference names no order."""
    assert ADAPTER.read(signed(REFUND)).items == [
        contract.Item(
            key="KHQC5N7G84BLNK43:REFUND:true",
            event=events.RefundSucceeded(
                transaction_id="NC6HT9CRT65ZGN82",
                order_no="",
                refund_no="KHQC5N7G84BLNK43",
                amount=Decimal("9.00"),
                cumulative=False,
                currency="EUR",
                occurred_at=AT,
            ),
        )
    ]


def test_batch() -> None:
    """All items of a message are read, in sequence, and a repeated one once."""
    again = PAYMENT | {"additionalData": {"authCode": "better"}}
    reading = ADAPTER.read(signed(PAYMENT, REFUND, again))
    assert [item.key for item in reading.items] == [
        "NC6HT9CRT65ZGN82:AUTHORISATION:true",
        "KHQC5N7G84BLNK43:REFUND:true",
    ]


def test_one_key_has_one_content() -> None:
    """Two items of one key with other values are rejected."""
    other = PAYMENT | {"amount": {"currency": "EUR", "value": 1}}
    assert rejection(ADAPTER, signed(PAYMENT, other)) == "malformed"


@pytest.mark.parametrize(
    ("item", "changes"),
    [
        (REFUND, {"originalReference": ""}),
        (REFUND, {"originalReference": "A B"}),
        (REFUND, {"amount": {"currency": "EUR", "value": 0}}),
        (REFUND, {"amount": None}),
        (PAYMENT, {"eventCode": "CAPTURE", "success": "false"}),
        (PAYMENT, {"amount": None}),
        (PAYMENT, {"amount": {"currency": "EUR"}}),
        (PAYMENT, {"amount": {"value": 5}}),
        (PAYMENT, {"amount": {"currency": "EUR", "value": -1}}),
        (PAYMENT, {"amount": {"currency": "EUR", "value": 10**14}}),
        (PAYMENT, {"amount": {"currency": "eur", "value": 100}}),
        (PAYMENT, {"amount": {"currency": "XYZ", "value": 100}}),
        (PAYMENT, {"amount": {"currency": "BIF", "value": 100}}),
        (PAYMENT, {"amount": {"currency": "ISK", "value": 101}}),
        (REFUND, {"pspReference": "A B"}),
        (REFUND, {"pspReference": ""}),
        (PAYMENT, {"pspReference": ""}),
        (PAYMENT, {"pspReference": "A B"}),
        (PAYMENT, {"pspReference": "\u00e9"}),
        (PAYMENT, {"pspReference": "A" * 200}),
        (PAYMENT, {"eventCode": ""}),
        (PAYMENT, {"eventCode": "A\n"}),
        (PAYMENT, {"eventCode": "A" * 49}),
    ],
)
def test_what_cannot_be_booked_is_parked(item: Any, changes: dict[str, Any]) -> None:
    """A genuine message without meaning is acknowledged: a rejection would block the queue."""
    event = read_changed(changes, item)
    assert isinstance(event, events.Unmapped)
    assert event.detail


@pytest.mark.parametrize("reference", ["", None, "Order 7", "7 ", "订单7", "S" * 65])
def test_payment_without_order_number(reference: Any) -> None:
    """Money that names no order still arrives, with an empty order number."""
    event = read_changed({"merchantReference": reference})
    assert isinstance(event, events.PaymentSucceeded)
    assert event.order_no == ""


def test_order_numbers_may_hold_colons() -> None:
    """The one value that may hold a colon is read as it is."""
    assert events.order_no(read_changed({"merchantReference": "SO:1001:EUR"})) == "SO:1001:EUR"


@pytest.mark.parametrize(
    ("minor", "code", "amount"),
    [
        (1, "EUR", "0.01"),
        (500, "JPY", "500"),
        (500, "KRW", "500"),
        (500, "UGX", "500"),
        (5125, "KWD", "5.125"),
        (5125, "IQD", "5.125"),
        (500, "CLP", "5"),
        (500, "ISK", "5"),
        (500, "CVE", "500.00"),
        (500, "IDR", "500.00"),
        (500, "MGA", "5.00"),
        (99_999_999_999_999, "EUR", "999999999999.99"),
    ],
)
def test_amounts(minor: int, code: str, amount: str) -> None:
    """Adyen's integer becomes the exact amount, also where its unit is not ISO 4217's."""
    event = read_changed({"amount": {"currency": code, "value": minor}})
    assert isinstance(event, events.PaymentSucceeded)
    assert (event.amount, event.currency) == (Decimal(amount), code)


def test_currencies_that_differ_from_iso() -> None:
    """Adyen's page names four; the one that Adyen's sources leave unclear is not there."""
    assert {
        code: digits
        for code, digits in adyen_items.DECIMALS.items()
        if digits != money.DECIMALS[code]
    } == {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2}
    assert money.DECIMALS.keys() - adyen_items.DECIMALS.keys() == {"BIF"}


@pytest.mark.parametrize(
    "date",
    [
        None, 7, "", "yesterday", "2026-11-23T12:59:30", "0001-01-01T00:00:00+14:00", {"a": []},
        (NOW + timedelta(days=2)).isoformat(), (NOW - timedelta(days=61)).isoformat(),
    ],
)  # fmt: skip
def test_unsigned_implausible_time_is_replaced(date: Any) -> None:
    """eventDate is not signed: an invalid or implausible one is replaced."""
    event = read_changed({"eventDate": date})
    assert isinstance(event, events.PaymentSucceeded)
    assert event.occurred_at == NOW


def test_time_of_a_late_retry_is_kept() -> None:
    """A retry arrives up to 30 days late and keeps the time of the event."""
    at = NOW - timedelta(days=30)
    event = read_changed({"eventDate": at.isoformat()})
    assert isinstance(event, events.PaymentSucceeded)
    assert event.occurred_at == at


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"live":',
        b'{"live":"true"}',
        b'{"live":"true","notificationItems":[]}',
        b'{"live":"true","notificationItems":[{}]}',
        b'{"live":"true","notificationItems":[{"NotificationRequestItem":null}]}',
        b'{"live":"\xff"}',
        b'{"x":' * 100_000 + b"1" + b"}" * 100_000,
        json.dumps(envelope(with_signature(PAYMENT), live=True)).encode(),
        json.dumps(envelope(*[with_signature(PAYMENT)] * 101)).encode(),
        PAID.body.replace(b"19900", b"1" * 5000),
        PAID.body.replace(b"19900", b"199e2"),
        PAID.body.replace(b"SO-1001", b"\\ud800"),
        PAID.body.replace(b'"true", "additional', b'true, "additional'),
    ],
)
def test_bodies_of_another_shape(body: bytes) -> None:
    """Any other shape than the documented one is rejected, signed or not."""
    if body != PAID.body:
        assert rejection(ADAPTER, posted(body)) == "malformed"


@pytest.mark.parametrize("name", ["payments_accounting_report_2026_11_29.csv", "a:b", "R" * 300])
def test_a_report_is_noted_whatever_its_file_is_called(name: str) -> None:
    """A rejected message holds up Adyen's queue, and a report moves no money."""
    report = PAYMENT | {"eventCode": "REPORT_AVAILABLE", "pspReference": name}
    (item,) = ADAPTER.read(signed(report)).items
    assert isinstance(item.event, events.Noted)
    assert len(item.key) <= 128
    (again,) = ADAPTER.read(signed(report)).items
    assert again.key == item.key


def test_doubled_names_of_json_change_nothing() -> None:
    """Of a duplicate name, the verified value is the booked one."""
    forged = PAID.body.replace(b'"value": 19900', b'"value": 1, "value": 19900')
    assert forged != PAID.body
    assert ADAPTER.read(posted(forged)) == ADAPTER.read(PAID)
    forged = PAID.body.replace(b'"value": 19900', b'"value": 19900, "value": 1')
    assert rejection(ADAPTER, posted(forged)) == "bad_signature"


def test_environment_must_match() -> None:
    """Test messages are not accepted by a live account, nor live ones by a test account."""
    tried = signed(PAYMENT, live="false")
    assert rejection(ADAPTER, tried) == "not_ours"
    test_adapter = adyen.adapter(account(SECRET, live=False, **OPTIONS))
    assert test_adapter.read(tried) == ADAPTER.read(PAID)
    assert rejection(test_adapter, PAID) == "not_ours"


@pytest.mark.parametrize("code", ["Other", "testmerchant", "TestMerchant:x", "", None])
def test_merchant_account_must_match(code: Any) -> None:
    """Payments of another merchant account of the company are not ours."""
    assert rejection(ADAPTER, signed(PAYMENT | {"merchantAccountCode": code})) == "not_ours"


@settings(max_examples=200)
@given(
    st.sampled_from(
        [PAYMENT, REFUND, *(REFUND | {"eventCode": code} for code in sorted(adyen_events.READERS))]
    ).flatmap(bent)
)
def test_bent_items_are_storable_or_rejected(item: Any) -> None:
    """Any content that Adyen could sign is rejected or storable."""
    try:
        content = envelope(with_signature(item))
    except (AttributeError, KeyError, TypeError, ValueError):
        content = envelope(item)
    verdict(ADAPTER, posted(content))


@given(st.data())
def test_bent_messages_are_storable_or_rejected(data: st.DataObject) -> None:
    """The fields around the items are modified."""
    content = envelope(with_signature(PAYMENT))
    name = data.draw(st.sampled_from(["live", "notificationItems"]))
    part = data.draw(bent({name: content[name]}))
    verdict(ADAPTER, posted(content | part if isinstance(part, dict) else part))


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        ("accepted", 200, b"[accepted]"),
        ("later", 503, b"[later]"),
        ("rejected", 400, b"[refused]"),
    ],
)
def test_replies(answer: contract.Answer, status: int, body: bytes) -> None:
    """Only accepted is a 2xx, with the body that old webhooks require."""
    assert ADAPTER.reply(answer) == contract.Reply(status, body, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("secrets", "options", "says"),
    [
        ((), OPTIONS, "1 or 2 secrets"),
        ((SECRET, NEXT_SECRET, SECRET), OPTIONS, "1 or 2 secrets"),
        (("",), OPTIONS, "64 hex"),
        ((SECRET[:-2],), OPTIONS, "64 hex"),
        ((SECRET + "\n",), OPTIONS, "64 hex"),
        ((SECRET[:-1] + "G",), OPTIONS, "64 hex"),
        ((SECRET[:-1] + "\u0661",), OPTIONS, "64 hex"),
        ((SECRET,), {}, "merchant_account"),
        ((SECRET,), {"merchant_account": ""}, "merchant_account"),
        ((SECRET,), {"merchant_account": "A:B"}, "merchant_account"),
        ((SECRET,), OPTIONS | {"live": "true"}, "live"),
        ((SECRET,), OPTIONS | {"capture": "later"}, "capture"),
        ((SECRET,), OPTIONS | {"captured_at_once": ["i deal"]}, "captured_at_once"),
        ((SECRET,), OPTIONS | {"liv": True}, "liv"),
    ],
)
def test_wrong_configuration(secrets: tuple[str, ...], options: Any, says: str) -> None:
    """A wrong account raises an error that names the setting and hides the secret."""
    with pytest.raises(ValueError, match=says) as caught:
        adyen.adapter(account(*secrets, **options))
    assert "shop" in str(caught.value)
    assert not any(secret.strip() and secret in str(caught.value) for secret in secrets)
