"""What UnionPay's codes mean: every documented value has a line here, and a strange one too."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.domain import events
from gateway.providers import contract, unionpay, unionpay_notices

from .support import account, read_one
from .unionpay_samples import ADAPTER, ISSUERS, MER_ID, PAID_AT, PAYMENT, REFUND, REFUNDED, notice

#: Success, failure for good, and no known end.
TXN_TYPES = {
    "01": (events.PaymentSucceeded, events.Noted, events.Unmapped),
    "02": (events.Noted, events.Noted, events.Noted),
    "03": (events.PaymentSucceeded, events.Noted, events.Unmapped),
    "04": (events.RefundSucceeded, events.RefundFailed, events.Unmapped),
    "31": (events.RefundSucceeded, events.RefundFailed, events.Unmapped),
    "32": (events.Noted, events.Noted, events.Noted),
    "33": (events.RefundSucceeded, events.RefundFailed, events.Unmapped),
    **dict.fromkeys(["05", "11", "12", "13", "14", "21"], (events.Unmapped,) * 3),
    **dict.fromkeys(
        ["00", "22", "71", "72", "73", "74", "75", "76", "77", "78", "79", "94", "95"],
        (events.Noted,) * 3,
    ),
    **dict.fromkeys(["99", "1", "001", "AB"], (events.Unmapped,) * 3),
}
RESP_CODES = {
    "00": events.PaymentSucceeded,
    "A6": events.PaymentSucceeded,
    "03": events.Unmapped,
    "04": events.Unmapped,
    "05": events.Unmapped,
    **dict.fromkeys(
        ["01", "02", "10", "12", "30", "34", "61", "77", "98", "0", "000"], events.Noted
    ),
}


def made(**options: Any) -> contract.Adapter:
    return unionpay.adapter(account(ISSUERS, mer_id=MER_ID, **options))


def test_the_tables_are_complete() -> None:
    known = {
        *unionpay_notices.PAYMENTS,
        *unionpay_notices.REFUNDS,
        *unionpay_notices.AUTHORISATIONS,
        *unionpay_notices.WITHOUT_MONEY,
        *unionpay_notices.OTHER_MONEY,
    }
    assert TXN_TYPES.keys() > known


@pytest.mark.parametrize(("kind", "meanings"), TXN_TYPES.items())
def test_txn_types(kind: str, meanings: tuple[type, ...]) -> None:
    """Authorised, captured, released and returned are four things."""
    for code, meaning in zip(("00", "34", "05"), meanings, strict=True):
        changes = {"txnType": kind, "respCode": code, "origQryId": PAYMENT.transaction_id}
        event = read_one(ADAPTER, notice(changes))
        assert type(event) is meaning
        if isinstance(event, events.Unmapped):
            assert kind in event.detail or event.kind in ("payment", "refund_failed")


@pytest.mark.parametrize(("code", "meaning"), RESP_CODES.items())
def test_resp_codes(code: str, meaning: type) -> None:
    assert type(read_one(ADAPTER, notice({"respCode": code}))) is meaning


@pytest.mark.parametrize("sub_type", ["00", "01", "02", "03", "04", "07", "99", None, ""])
def test_the_sub_type_tells_how_it_was_paid(sub_type: str | None) -> None:
    """Instalments, codes, orders: a payment in any case."""
    assert read_one(ADAPTER, notice({"txnSubType": sub_type})) == PAYMENT


def test_what_was_captured_of_an_authorisation_is_the_payment() -> None:
    """115 % of what was authorised at most: the completion has a number and an amount."""
    authorised = notice({"txnType": "02", "queryId": "1", "txnAmt": "8000"})
    assert read_one(ADAPTER, authorised) == events.Noted("txnType_02", PAID_AT)
    completed = notice({"txnType": "03", "origQryId": "1"})
    assert read_one(ADAPTER, completed) == PAYMENT
    (item,) = ADAPTER.read(completed).items
    assert item.key.endswith(":03")
    released = notice({"txnType": "32", "origQryId": "1"})
    assert read_one(ADAPTER, released) == events.Noted("txnType_32", PAID_AT)
    returned = read_one(ADAPTER, notice({**REFUND, "txnType": "33"}))
    assert returned == REFUNDED


@pytest.mark.parametrize("kind", ["04", "31", "33"])
def test_a_refund_that_failed(kind: str) -> None:
    """It names the payment and itself, as its success would."""
    event = read_one(ADAPTER, notice({**REFUND, "txnType": kind, "respCode": "34"}))
    assert event == events.RefundFailed(
        transaction_id=PAYMENT.transaction_id,
        order_no="",
        refund_no=REFUNDED.refund_no,
        amount=Decimal("8.80"),
        cumulative=False,
        currency="CNY",
        occurred_at=REFUNDED.occurred_at,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"settleAmt": "8000"},
        {"settleAmt": "1227", "settleCurrencyCode": "840", "exchangeRate": "30.1380"},
        {"couponInfo": '[{"type":"DD01","spnsrId":"00010000","offstAmt":"880","id":"1"}]'},
    ],
)
def test_the_price_of_the_order_counts(changes: dict[str, str | None]) -> None:
    """What is settled after discounts and an exchange is another amount, of refunds as well."""
    assert read_one(ADAPTER, notice(changes)) == PAYMENT
    assert read_one(ADAPTER, notice({**REFUND, **changes})) == REFUNDED


def test_a_price_in_another_currency_is_parked() -> None:
    for changes in ({"currencyCode": "344"}, {**REFUND, "currencyCode": "344"}):
        event = read_one(ADAPTER, notice({**changes, "settleCurrencyCode": "156"}))
        assert isinstance(event, events.Unmapped)


def test_deposit_and_balance() -> None:
    """Two payments on one day need two orderId: reqReserved may name the order of both."""
    ours = made(order_no_from="reqReserved")
    for number in ("SO1001D", "SO1001B"):
        event = read_one(ours, notice({"orderId": number, "reqReserved": "SO1001"}))
        assert event == msgspec.structs.replace(PAYMENT, order_no="SO1001")
    for passed in ("", None, "订单", "a b"):
        assert read_one(ours, notice({"reqReserved": passed})) == PAYMENT
    # By default it is whatever the merchant writes there.
    assert read_one(ADAPTER, notice({"reqReserved": "SO1002"})) == PAYMENT
    assert read_one(ADAPTER, notice({"reqReserved": "a=1&b=2"})) == PAYMENT
    assert read_one(ours, notice({**REFUND, "reqReserved": "SO1001"})) == REFUNDED
