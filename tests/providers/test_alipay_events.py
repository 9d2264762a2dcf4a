"""How Alipay's adapter reads genuine notices, and its configuration."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import events, folding, following
from gateway.providers import alipay, contract

from .alipay_samples import (
    ADAPTER,
    ALIPAYS_KEY,
    APP_ID,
    FIELDS,
    NOTIFIED_AT,
    PAID,
    PAYMENT,
    REFUND,
    REFUNDED_AT,
    SELLER_ID,
    notice,
    pem,
    private_pem,
)
from .support import NOW, account, read_one, rejection, verdict


def test_payment() -> None:
    """A successful trade is a payment; its times are GMT+8, its key the notify_id."""
    assert ADAPTER.read(PAID).items == [contract.Item(FIELDS["notify_id"], PAYMENT)]
    finished = notice({"trade_status": "TRADE_FINISHED", "gmt_payment": None})
    event = read_one(ADAPTER, finished)
    assert event.occurred_at == NOTIFIED_AT
    assert events.transaction_id(event) == PAYMENT.transaction_id


def test_finished_is_counted_once() -> None:
    """The end of the refund period is a notice of its own about a payment that is known."""
    first, later = (
        ADAPTER.read(notice({"trade_status": status, "notify_id": key})).items
        for status, key in (("TRADE_SUCCESS", "n1"), ("TRADE_FINISHED", "n2"))
    )
    assert (first[0].key, later[0].key) == ("n1", "n2")
    assert later[0].event == first[0].event == PAYMENT
    known = following.PaymentState(
        id=UUID(int=1),
        provider="alipay",
        source="alipay:shop",
        transaction_id=PAYMENT.transaction_id,
        order_id=None,
        order_no=PAYMENT.order_no,
        currency="CNY",
        amount=PAYMENT.amount,
        refunded=Decimal(0),
        standing="applied",
        paid_at=PAYMENT.occurred_at,
    )
    rules = folding.Rules(takes_parts=lambda channel: True, new_id=uuid4)
    step = folding.apply(
        PAYMENT, order=None, payment=known, is_new=False, known=[known], rules=rules
    )
    assert step.outcome == "repeat"


@pytest.mark.parametrize("status", ["TRADE_SUCCESS", "TRADE_FINISHED", "TRADE_CLOSED"])
def test_a_refund_implies_the_payment(status: str) -> None:
    """A refund notice also yields the payment, in case its own notice was lost."""
    reading = ADAPTER.read(notice({**REFUND, "trade_status": status}))
    assert reading.items == [
        contract.Item(REFUND["notify_id"] + ":paid", PAYMENT),
        contract.Item(
            REFUND["notify_id"],
            events.RefundSucceeded(
                transaction_id=PAYMENT.transaction_id,
                order_no="SO-1001",
                refund_no="R-1",
                amount=Decimal("8.80"),
                cumulative=True,
                currency="CNY",
                occurred_at=REFUNDED_AT,
            ),
        ),
    ]


def test_refund_without_number_or_time() -> None:
    """A refund may lack its number and its time: the fee makes it one."""
    _, item = ADAPTER.read(notice({"refund_fee": "1", "out_biz_no": ""})).items
    assert isinstance(item.event, events.RefundSucceeded)
    assert (item.event.refund_no, item.event.occurred_at) == ("", NOTIFIED_AT)


@pytest.mark.parametrize("fee", [None, "", "0", "0.00"])
def test_closed_unpaid(fee: str | None) -> None:
    """A trade closed without a payment timed out unpaid."""
    unpaid = {"trade_status": "TRADE_CLOSED", "gmt_payment": None}
    closed = notice({**unpaid, "refund_fee": fee, "gmt_refund": ""})
    assert read_one(ADAPTER, closed) == events.Closed(
        "SO-1001", "timed_out", NOTIFIED_AT, only_unpaid=True
    )
    at = notice({**unpaid, "gmt_close": "2026-11-23 12:30:00"})
    assert read_one(ADAPTER, at).occurred_at == NOTIFIED_AT + timedelta(minutes=30)


@pytest.mark.parametrize("fee", [None, "", "0.00"])
def test_closed_after_it_was_paid(fee: str | None) -> None:
    """It was refunded, and the notice does not say how much: booked as paid, and for a person."""
    closed = notice({"trade_status": "TRADE_CLOSED", "refund_fee": fee})
    paid, rest = ADAPTER.read(closed).items
    assert paid.event == PAYMENT
    assert isinstance(rest.event, events.Unmapped)
    assert (rest.event.kind, rest.event.order_no) == ("TRADE_CLOSED", "SO-1001")
    assert paid.key != rest.key


def test_unpaid_is_noted() -> None:
    """A trade that waits for its buyer is noted and never booked as a payment."""
    event = read_one(ADAPTER, notice({"trade_status": "WAIT_BUYER_PAY"}))
    assert event == events.Noted("WAIT_BUYER_PAY", NOTIFIED_AT)


def test_unknown_statuses_are_parked() -> None:
    """A status that is not documented is parked and never booked as a payment."""
    event = read_one(ADAPTER, notice({**REFUND, "trade_status": "TRADE_PENDING"}))
    assert isinstance(event, events.Unmapped)
    assert (event.kind, event.order_no, event.occurred_at) == (
        "TRADE_PENDING",
        "SO-1001",
        NOTIFIED_AT,
    )


@pytest.mark.parametrize(
    ("options", "changes", "is_ours"),
    [
        ({}, {"app_id": "2021000000000000"}, False),
        ({}, {"app_id": None}, False),
        ({"seller_id": SELLER_ID}, {}, True),
        ({"seller_id": SELLER_ID}, {"seller_id": "2088000000000000"}, False),
        ({"seller_id": SELLER_ID}, {"seller_id": None}, False),
        ({"seller_email": "shop@example.com"}, {}, True),
        ({"seller_email": "shop@example.com"}, {"seller_email": "x@example.com"}, False),
        ({"seller_id": SELLER_ID, "seller_email": "shop@example.com"}, {}, True),
        (
            {"seller_id": SELLER_ID, "seller_email": "shop@example.com"},
            {"seller_email": None},
            True,
        ),
        ({"seller_id": SELLER_ID, "seller_email": "other@example.com"}, {}, False),
    ],
)
def test_ours(options: dict[str, str], changes: dict[str, str | None], is_ours: bool) -> None:
    """The app and, where configured, the payee must be ours."""
    adapter = alipay.adapter(account(pem(ALIPAYS_KEY), **{"app_id": APP_ID, **options}))
    if is_ours:
        assert adapter.read(notice(changes)) == ADAPTER.read(PAID)
    else:
        assert rejection(adapter, notice(changes)) == "not_ours"


def test_currency_is_an_option() -> None:
    """The account's currency decides the decimals of an amount."""
    adapter = alipay.adapter(account(pem(ALIPAYS_KEY), app_id=APP_ID, currency="JPY"))
    event = read_one(adapter, notice({"total_amount": "980.00"}))
    assert isinstance(event, events.PaymentSucceeded)
    assert (event.amount, event.currency) == (Decimal(980), "JPY")
    assert isinstance(read_one(adapter, PAID), events.Unmapped)


@pytest.mark.parametrize(
    "changes",
    [
        {"total_amount": None},
        {"total_amount": ""},
        {"total_amount": "-1.00"},
        {"total_amount": "+1.00"},
        {"total_amount": "88.801"},
        {"total_amount": "1e2"},
        {"total_amount": "1E+400"},
        {"total_amount": "NaN"},
        {"total_amount": "1_000"},
        {"total_amount": "1" * 13},
        {"total_amount": "1." + "0" * 4000},
        {"total_amount": "\u0661"},
        {"total_amount": " 1"},
        {"total_amount": "1\n"},
        {"trade_no": ""},
        {"trade_no": "1" * 129},
        {"trade_status": ""},
        {"trade_status": "TRADE SUCCESS"},
        {"trade_status": "T" * 129},
    ],
)
def test_what_cannot_be_booked_is_parked(changes: dict[str, str | None]) -> None:
    """Amount, transaction or status are missing or out of bounds; the notice is genuine."""
    (item,) = ADAPTER.read(notice(changes)).items
    assert isinstance(item.event, events.Unmapped)
    assert item.event.detail
    assert (item.key, item.event.order_no) == (FIELDS["notify_id"], PAYMENT.order_no)


@pytest.mark.parametrize("number", [None, "SO 1", "SO\n", "S\x00", "S" * 65, "订单", "1001 "])
def test_money_counts_whatever_the_merchant_calls_the_order(number: str | None) -> None:
    event = read_one(ADAPTER, notice({"out_trade_no": number}))
    assert event == msgspec.structs.replace(PAYMENT, order_no="")
    *_, refund = ADAPTER.read(notice({**REFUND, "out_trade_no": number})).items
    assert isinstance(refund.event, events.RefundSucceeded)
    assert refund.event.order_no == ""


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T11:59:30", "2026-11-23 11:59:30\n", "2026-02-30 11:59:30",
        "2026-11-23 24:59:30", "0001-01-01 00:00:00", "9999-12-31 23:59:59", "yesterday", "",
    ],
)  # fmt: skip
def test_money_counts_without_a_time_that_can_be_read(text: str) -> None:
    event = read_one(ADAPTER, notice({"gmt_payment": text}))
    assert event == msgspec.structs.replace(PAYMENT, occurred_at=NOTIFIED_AT)
    event = read_one(ADAPTER, notice({"gmt_payment": text, "notify_time": text}))
    assert event == msgspec.structs.replace(PAYMENT, occurred_at=NOW)


@pytest.mark.parametrize("id_", [None, "n" * 129, "a b"])
def test_money_counts_without_an_id_that_can_be_stored(id_: str | None) -> None:
    (first,), (again,) = (ADAPTER.read(notice({"notify_id": id_})).items for _ in range(2))
    assert first.event == PAYMENT
    assert first.key == again.key != ""


@pytest.mark.parametrize("fee", [None, "0.00", "-8.80", "8,80"])
def test_a_refund_that_cannot_be_read_does_not_cost_its_payment(fee: str | None) -> None:
    paid, refund = ADAPTER.read(notice({**REFUND, "refund_fee": fee})).items
    assert paid.event == PAYMENT
    assert isinstance(refund.event, events.Unmapped)


def test_a_payment_that_cannot_be_read_does_not_cost_its_refund() -> None:
    paid, refund = ADAPTER.read(notice({**REFUND, "total_amount": ""})).items
    assert isinstance(paid.event, events.Unmapped)
    assert isinstance(refund.event, events.RefundSucceeded)


def test_a_refund_counts_whatever_the_merchant_calls_it() -> None:
    *_, item = ADAPTER.read(notice({**REFUND, "out_biz_no": "R" * 129})).items
    assert isinstance(item.event, events.RefundSucceeded)
    assert item.event.refund_no == ""


odd_text = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.sampled_from(["", "0", "-0", "NaN", "1E+400", "9" * 3000, "TRADE_CLOSED", "gbk", "\x00"]),
    st.sampled_from(
        ["2026-11-23 00:00:00.1234567891", "2000-01-01 00:00:00", "2099-12-31 23:59:59"]
    ),
)


@given(st.dictionaries(st.sampled_from(sorted(FIELDS | REFUND)), st.none() | odd_text, max_size=3))
def test_bent_notices_are_storable_or_rejected(changes: dict[str, str | None]) -> None:
    """Any content that Alipay could sign is rejected or storable."""
    verdict(ADAPTER, notice({**REFUND, **changes}))


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [("accepted", 200, b"success"), ("later", 503, b"fail"), ("rejected", 400, b"fail")],
)
def test_replies(answer: contract.Answer, status: int, body: bytes) -> None:
    """Accepted is exactly seven bytes; nothing else begins like it."""
    reply = ADAPTER.reply(answer)
    assert (reply.status, reply.body) == (status, body)


def test_wrong_configuration() -> None:
    """A wrong account raises an error that names the setting."""
    good = pem(ALIPAYS_KEY)
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    curve = ec.generate_private_key(ec.SECP256R1())
    ours = {"app_id": APP_ID}
    cases: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
        ((), ours, "1 or 2 secrets"),
        ((good,) * 3, ours, "1 or 2 secrets"),
        (("",), ours, "Alipay's public key"),
        (("not a key",), ours, "Alipay's public key"),
        (("\udcff",), ours, "Alipay's public key"),
        ((good[:200],), ours, "Alipay's public key"),
        ((private_pem(ALIPAYS_KEY),), ours, "Alipay's public key"),
        (("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",), ours, "Alipay's"),
        ((pem(small),), ours, "2048 bits"),
        ((pem(curve),), ours, "RSA"),
        ((good,), {}, "app_id"),
        ((good,), {"app_id": 2021}, "app_id"),
        ((good,), {"app_id": ""}, "app_id"),
        ((good,), {**ours, "seller_id": "x"}, "seller_id"),
        ((good,), {**ours, "currency": "RMB"}, "ISO 4217"),
        ((good,), {**ours, "sign_type": "RSA"}, "sign_type"),
    ]
    for secrets, options, says in cases:
        with pytest.raises(ValueError, match=says) as caught:
            alipay.adapter(account(*secrets, **options))
        assert "shop" in str(caught.value)
        assert "PRIVATE" not in str(caught.value)
