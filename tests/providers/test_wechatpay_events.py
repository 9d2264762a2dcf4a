"""How WeChat Pay's adapter reads genuine callbacks, and which merchants it accepts."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import events
from gateway.providers import contract

from .apiv3_samples import CREATED, MCHID, PAID_AT, PAYMENT, REFUND, callback, encrypted
from .support import NOW, bent, read_one, rejection, verdict
from .wechatpay_samples import ADAPTER, PAID, adapter, signed

PARTNER = {"sp_mchid": MCHID, "sub_mchid": "1900000200", "sp_appid": "wx8888888888888888"}


def paid(**changes: Any) -> contract.Message:
    return signed(callback("TRANSACTION.SUCCESS", PAYMENT | changes))


def refunded(status: str = "SUCCESS", **changes: Any) -> contract.Message:
    return signed(callback(f"REFUND.{status}", REFUND | {"refund_status": status} | changes))


def without(content: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in names}


def test_payment() -> None:
    """A successful transaction is a payment of what the order cost, coupons included."""
    assert ADAPTER.read(PAID).items == [
        contract.Item(
            key="EV-2018022511223320873",
            event=events.PaymentSucceeded(
                transaction_id="4200000000202611231234567890",
                order_no="SO-1001",
                amount=Decimal("199.00"),
                currency="CNY",
                occurred_at=PAID_AT,
            ),
        )
    ]


def test_refund() -> None:
    """A refund is one event, under the merchant's own number for it."""
    assert read_one(ADAPTER, refunded()) == events.RefundSucceeded(
        transaction_id="4200000000202611231234567890",
        order_no="SO-1001",
        refund_no="RF-1",
        amount=Decimal("9.00"),
        cumulative=False,
        currency="CNY",
        occurred_at=PAID_AT,
    )


@pytest.mark.parametrize("status", ["CLOSED", "ABNORMAL"])
def test_a_refund_that_failed(status: str) -> None:
    """The money is with the merchant: taken back if it was booked, and for a person in any case."""
    assert read_one(ADAPTER, refunded(status, success_time="")) == events.RefundFailed(
        transaction_id="4200000000202611231234567890",
        order_no="SO-1001",
        refund_no="RF-1",
        amount=Decimal("9.00"),
        cumulative=False,
        currency="CNY",
        occurred_at=CREATED,
    )


@pytest.mark.parametrize("lacks", ["amount", "transaction_id", "refund_status", "out_refund_no"])
def test_a_failed_refund_without_what_it_needs_is_parked(lacks: str) -> None:
    content = without(REFUND | {"refund_status": "CLOSED"}, lacks)
    result = read_one(ADAPTER, signed(callback("REFUND.CLOSED", content)))
    assert isinstance(result, events.Unmapped)
    assert result.order_no == "SO-1001"


@pytest.mark.parametrize("status", ["CLOSED", "ABNORMAL", "PROCESSING"])
def test_contradictions_are_for_a_person(status: str) -> None:
    """A refund whose event and status disagree is not booked."""
    received = signed(callback("REFUND.SUCCESS", REFUND | {"refund_status": status}))
    assert isinstance(read_one(ADAPTER, received), events.Unmapped)


def test_the_self_test_is_acknowledged_without_a_trace() -> None:
    """SECURITY_ECHO is answered like any other and leaves nothing."""
    received = signed(callback("SECURITY_ECHO.SUCCESS", {"echo_message": "hello"}))
    assert ADAPTER.read(received) == contract.Reading([])
    resource = encrypted({}, secret=b"x" * 32)
    wrong = signed(callback("SECURITY_ECHO.SUCCESS", {}, resource=resource))
    assert rejection(ADAPTER, wrong) == "malformed"


@pytest.mark.parametrize(
    "changes",
    [
        {"mchid": "1900000110"},
        {"mchid": None},
        {"mchid": ""},
        {"appid": "wx0000000000000000"},
        {"sub_mchid": "1900000200"},
        {"sp_mchid": "1900000200"},
        {"combine_mchid": "1900000200"},
    ],
)
def test_other_merchants_and_apps_are_not_ours(changes: Any) -> None:
    """A payment to another merchant, of another app or of a partner is rejected."""
    assert rejection(ADAPTER, paid(**changes)) == "not_ours"
    if "appid" not in changes:
        assert rejection(ADAPTER, refunded(**changes)) == "not_ours"


def test_apps_are_checked_where_they_are_named() -> None:
    """A refund names no app, and without the option any app is accepted."""
    assert read_one(ADAPTER, refunded())
    assert ADAPTER.read(paid(appid=None)).items
    assert adapter(appids=[]).read(paid(appid="wx0")).items


def test_partners() -> None:
    """A service provider accepts payments of its merchants, and none of its own."""
    partner = adapter(sub_mchids=["1900000200"])
    payment = without(PAYMENT, "mchid", "appid") | PARTNER
    received = signed(callback("TRANSACTION.SUCCESS", payment))
    assert read_one(partner, received) == read_one(ADAPTER, PAID)
    refund = signed(callback("REFUND.SUCCESS", without(REFUND, "mchid") | PARTNER))
    assert read_one(partner, refund) == read_one(ADAPTER, refunded())
    assert rejection(partner, PAID) == "not_ours"
    assert rejection(ADAPTER, received) == "not_ours"
    for changes in ({"sub_mchid": "1900000201"}, {"sp_mchid": "1"}, {"sp_appid": "wx0"}):
        theirs = signed(callback("TRANSACTION.SUCCESS", payment | changes))
        assert rejection(partner, theirs) == "not_ours"


def test_currency() -> None:
    """Refunds name no currency: it is the account's."""
    cross_border = adapter(currency="HKD")
    result = read_one(cross_border, refunded())
    assert isinstance(result, events.RefundSucceeded)
    assert (result.amount, result.currency) == (Decimal("9.00"), "HKD")
    assert read_one(cross_border, PAID) == read_one(ADAPTER, PAID)


@pytest.mark.parametrize(
    ("total", "amount"),
    [(1, "0.01"), (0, "0"), (100, "1.00"), (99_999_999_999_999, "999999999999.99")],
)
def test_fen(total: int, amount: str) -> None:
    """Fen are converted to yuan exactly."""
    result = read_one(ADAPTER, paid(amount={"total": total, "currency": "CNY"}))
    assert isinstance(result, events.PaymentSucceeded)
    assert result.amount == Decimal(amount)


def test_times() -> None:
    """Milliseconds are preserved; without success_time the callback's time is used."""
    result = read_one(ADAPTER, paid(success_time="2026-11-23T11:58:34.120Z"))
    assert isinstance(result, events.PaymentSucceeded)
    assert result.occurred_at == PAID_AT + timedelta(milliseconds=120)
    for missing in ("", None):
        result = read_one(ADAPTER, paid(success_time=missing))
        assert isinstance(result, events.PaymentSucceeded)
        assert result.occurred_at == CREATED


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": None},
        {"amount": {}},
        {"amount": {"total": "19900"}},
        {"amount": "19900"},
        {"amount": {"payer_total": 19900}},
        {"amount": {"total": 199.0}},
        {"amount": {"total": True}},
        {"amount": {"total": -1}},
        {"amount": {"total": 10**14}},
        {"amount": {"total": 10**18}},
        {"amount": {"total": 10**400}},
        {"amount": {"total": 1, "currency": "RMB"}},
        {"transaction_id": None},
        {"transaction_id": ""},
        {"transaction_id": "é"},
        {"trade_state": None},
        {"trade_state": ""},
    ],
)
def test_malformed_payments_are_parked(changes: Any) -> None:
    """A payment of the wrong shape is neither guessed nor dropped, and its order is named."""
    result = read_one(ADAPTER, paid(**changes))
    assert isinstance(result, events.Unmapped)
    assert result.detail
    assert result.order_no == "SO-1001"


def test_whose_a_payment_is_must_be_readable() -> None:
    assert rejection(ADAPTER, paid(mchid=1900000109)) == "malformed"


@pytest.mark.parametrize("number", [None, "", "SO 1", "S\x00", "S" * 65, 7, "订单"])
def test_money_counts_whatever_the_order_is_called(number: Any) -> None:
    payment = read_one(ADAPTER, paid(out_trade_no=number))
    assert isinstance(payment, events.PaymentSucceeded)
    assert (payment.order_no, payment.amount) == ("", Decimal("199.00"))
    refund = read_one(
        ADAPTER, signed(callback("REFUND.SUCCESS", REFUND | {"out_trade_no": number}))
    )
    assert isinstance(refund, events.RefundSucceeded)
    assert refund.order_no == ""


@pytest.mark.parametrize(
    "time",
    [
        "yesterday", "2026-11-23T19:58:34", "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00", 7, None,
    ],
)  # fmt: skip
def test_money_counts_without_a_time_that_can_be_read(time: Any) -> None:
    """The message's own time stands in for it, and for that one the signature's."""
    payment = read_one(ADAPTER, paid(success_time=time))
    assert isinstance(payment, events.PaymentSucceeded)
    assert payment.occurred_at == CREATED
    body = callback("TRANSACTION.SUCCESS", PAYMENT | {"success_time": time}, create_time=time)
    payment = read_one(ADAPTER, signed(body))
    assert isinstance(payment, events.PaymentSucceeded)
    assert payment.occurred_at == NOW


@pytest.mark.parametrize("changes", [{"id": ""}, {"id": "E" * 129}])
def test_money_counts_without_an_id_that_can_be_stored(changes: dict[str, str]) -> None:
    received = signed(callback("TRANSACTION.SUCCESS", PAYMENT, **changes))
    (item,), (again,) = ADAPTER.read(received).items, ADAPTER.read(received).items
    assert isinstance(item.event, events.PaymentSucceeded)
    assert (item.key, 1 <= len(item.key) <= 128) == (again.key, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": {"refund": 0}},
        {"amount": {"refund": -1}},
        {"amount": {"total": 19900}},
        {"amount": None},
        {"out_refund_no": ""},
        {"out_refund_no": None},
        {"out_refund_no": "R" * 129},
        {"transaction_id": None},
        {"refund_status": None},
    ],
)
def test_malformed_refunds_are_parked(changes: Any) -> None:
    """A refund of the wrong shape is neither guessed nor dropped."""
    received = signed(callback("REFUND.SUCCESS", REFUND | changes))
    assert isinstance(read_one(ADAPTER, received), events.Unmapped)


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
        b'{"id":"\\ud800"}',
        json.dumps(callback("A", {}, resource=None)).encode(),
        json.dumps(callback("A", {}, resource="x")).encode(),
        json.dumps(callback("TRANSACTION.SUCCESS", [])).encode(),
        json.dumps(callback("TRANSACTION.SUCCESS", b"{")).encode(),
        json.dumps(callback("TRANSACTION.SUCCESS", b"\xff")).encode(),
        json.dumps(callback("TRANSACTION.SUCCESS", b"[" * 40_000)).encode(),
    ],
)
def test_malformed_bodies_are_rejected(body: bytes) -> None:
    """A valid signature over nonsense is rejected as malformed."""
    assert rejection(ADAPTER, signed(body)) == "malformed"


@given(
    st.sampled_from(["TRANSACTION.SUCCESS", "REFUND.SUCCESS", "REFUND.ABNORMAL", "COUPON.USE"]),
    st.sampled_from([PAYMENT, REFUND]).flatmap(bent),
)
def test_bent_resources_are_storable_or_rejected(kind: str, resource: Any) -> None:
    """Any content that WeChat Pay could encrypt is rejected or storable."""
    verdict(ADAPTER, signed(callback(kind, resource)))


@given(bent(callback("TRANSACTION.SUCCESS", PAYMENT)))
def test_bent_bodies_are_storable_or_rejected(body: Any) -> None:
    """Any content that WeChat Pay could sign is rejected or storable."""
    verdict(ADAPTER, signed(body))


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        ("accepted", 200, b'{"code":"SUCCESS","message":"OK"}'),
        ("later", 503, b'{"code":"FAIL","message":"try again"}'),
        ("rejected", 400, b'{"code":"FAIL","message":"refused"}'),
    ],
)
def test_replies(answer: contract.Answer, status: int, body: bytes) -> None:
    """Only accepted is a 2xx; failures are the documented JSON."""
    assert ADAPTER.reply(answer) == contract.Reply(status, body, "application/json")
