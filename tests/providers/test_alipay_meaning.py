"""What Alipay's words mean: every documented value has its line here, and so has a strange one."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import events
from gateway.providers import alipay, alipay_notices, contract

from .alipay_samples import (
    ADAPTER,
    ALIPAYS_KEY,
    APP_ID,
    FIELDS,
    NOTIFIED_AT,
    PAYMENT,
    REFUND,
    SELLER_ID,
    encoded,
    notice,
    pem,
    posted,
    signed,
)
from .support import account, read_one, rejection, verdict

TRADE_STATUSES = {
    "WAIT_BUYER_PAY": [events.Noted],
    "TRADE_SUCCESS": [events.PaymentSucceeded],
    "TRADE_FINISHED": [events.PaymentSucceeded],
    # Paid, closed, and nothing said of the refund that this means.
    "TRADE_CLOSED": [events.PaymentSucceeded, events.Unmapped],
    "TRADE_PENDING": [events.Unmapped],
    "trade_success": [events.Unmapped],
    "交易成功": [events.Unmapped],
}
REFUNDED = {
    # A contradiction, with money in it.
    "WAIT_BUYER_PAY": [events.Unmapped],
    "TRADE_SUCCESS": [events.PaymentSucceeded, events.RefundSucceeded],
    "TRADE_FINISHED": [events.PaymentSucceeded, events.RefundSucceeded],
    "TRADE_CLOSED": [events.PaymentSucceeded, events.RefundSucceeded],
    "TRADE_PENDING": [events.Unmapped],
}
NOTIFY_TYPES = {
    "trade_status_sync": events.Unmapped,
    "fund_auth_freeze": events.Noted,
    "fund_auth_unfreeze": events.Noted,
    "dut_user_sign": events.Noted,
    "dut_user_unsign": events.Noted,
    "open_app_auth_notify": events.Noted,
    "batch_refund_notify": events.Unmapped,
    "batch_trans_notify": events.Unmapped,
    "something_new": events.Unmapped,
}
#: What is in each notice and message, whatever it is about.
COMMON = {
    "app_id": APP_ID,
    "charset": "utf-8",
    "notify_id": "2026112300222115930010000000000009",
    "version": "1.1",
}
FROZEN = {
    **COMMON,
    "notify_time": "2026-11-23 12:00:00",
    "auth_no": "2026112310002001280000000001",
    "out_order_no": "SO-1001",
    "operation_id": "20261123000000000001",
    "out_request_no": "SO-1001-F",
    "operation_type": "FREEZE",
    "amount": "88.80",
    "status": "SUCCESS",
    "gmt_trans": "2026-11-23 11:59:30",
    "total_freeze_amount": "88.80",
    "total_pay_amount": "0.00",
    "rest_amount": "88.80",
    "payer_user_id": "2088102116773037",
    "payee_user_id": SELLER_ID,
}


def message(method: str, content: Any, **changes: str) -> contract.Message:
    """Build a message to the gateway of the app, as Alipay signs it."""
    fields = {
        **COMMON,
        "msg_method": method,
        "utc_timestamp": "1795406400000",
        "biz_content": content if isinstance(content, str) else json.dumps(content),
        **changes,
    }
    return posted(encoded(signed(fields)))


def made(**options: Any) -> contract.Adapter:
    return alipay.adapter(account(pem(ALIPAYS_KEY), app_id=APP_ID, **options))


def kinds(callback: contract.Message, adapter: contract.Adapter = ADAPTER) -> list[type]:
    return [type(item.event) for item in adapter.read(callback).items]


def test_the_tables_are_complete() -> None:
    assert alipay_notices.TRADE_STATUSES.keys() < TRADE_STATUSES.keys()
    assert NOTIFY_TYPES.keys() > alipay_notices.WITHOUT_MONEY


@pytest.mark.parametrize(("status", "meaning"), TRADE_STATUSES.items())
def test_trade_statuses(status: str, meaning: list[type]) -> None:
    assert kinds(notice({"trade_status": status})) == meaning


@pytest.mark.parametrize(("status", "meaning"), REFUNDED.items())
def test_trade_statuses_of_a_refund(status: str, meaning: list[type]) -> None:
    assert kinds(notice({**REFUND, "trade_status": status})) == meaning


@pytest.mark.parametrize(("kind", "meaning"), NOTIFY_TYPES.items())
def test_notices_of_no_trade(kind: str, meaning: type) -> None:
    """What moves no money is recorded, everything else is for a person, by its name."""
    received = posted(encoded(signed({**FROZEN, "notify_type": kind})))
    for adapter in (ADAPTER, made(seller_id=SELLER_ID)):
        event = read_one(adapter, received)
        assert type(event) is meaning
        assert events.action(event) == kind
        assert event.occurred_at == NOTIFIED_AT


@pytest.mark.parametrize("status", ["INIT", "SUCCESS", "CLOSED"])
@pytest.mark.parametrize(
    ("operation", "meaning"),
    [
        ("FREEZE", events.Noted),
        ("UNFREEZE", events.Noted),
        ("PAY", events.Unmapped),
        ("SOMETHING", events.Unmapped),
    ],
)
def test_frozen_is_not_paid(operation: str, status: str, meaning: type) -> None:
    """Authorised and released are no payment; what is captured is a trade of its own."""
    changes = {"operation_type": operation, "status": status, "notify_type": "fund_auth_freeze"}
    event = read_one(ADAPTER, posted(encoded(signed({**FROZEN, **changes}))))
    assert type(event) is meaning


@pytest.mark.parametrize(
    ("status", "meaning"),
    [("S", events.Noted), ("F", events.Unmapped), ("X", events.Unmapped), ("", events.Unmapped)],
)
def test_a_refund_to_a_bank_card(status: str, meaning: type) -> None:
    """Alipay puts into the buyer's balance what the bank does not take: the refund stands."""
    method = "alipay.trade.refund.depositback.completed"
    content = {
        "trade_no": PAYMENT.transaction_id,
        "out_trade_no": "SO-1001",
        "out_request_no": "R-1",
        "dback_status": status,
    }
    event = read_one(made(seller_id=SELLER_ID), message(method, content))
    assert type(event) is meaning
    assert events.action(event) == method
    assert event.occurred_at == datetime.fromtimestamp(1795406400, UTC)
    if isinstance(event, events.Unmapped):
        assert "R-1" in event.detail


@pytest.mark.parametrize(
    ("method", "content"),
    [
        ("alipay.merchant.tradecomplain.changed", {"complain_event_id": "2026112300102000000001"}),
        ("alipay.merchant.tradecomplain.changed", {}),
        ("alipay.merchant.tradecomplain.changed", "not JSON"),
        ("alipay.merchant.tradecomplain.changed", ""),
        ("alipay.trade.refund.depositback.completed", {}),
        ("alipay.trade.refund.depositback.completed", "[]"),
        ("alipay.fund.trans.order.changed", {"status": "SUCCESS"}),
        ("alipay.something.new", {}),
    ],
)
def test_other_messages_are_parked_by_their_name(method: str, content: Any) -> None:
    event = read_one(ADAPTER, message(method, content))
    assert isinstance(event, events.Unmapped)
    assert event.kind == method
    assert event.detail


def test_a_complaint_is_named() -> None:
    method = "alipay.merchant.tradecomplain.changed"
    event = read_one(ADAPTER, message(method, {"complain_event_id": "2026112300102000000001"}))
    assert isinstance(event, events.Unmapped)
    assert "2026112300102000000001" in event.detail


@pytest.mark.parametrize("stamp", ["", "x", "9" * 15, "-1", "1795406400000.5"])
def test_a_message_without_a_time_that_can_be_read(stamp: str) -> None:
    event = read_one(ADAPTER, message("a.b", {}, utc_timestamp=stamp))
    assert isinstance(event, events.Unmapped)


def test_a_message_of_another_app_is_not_ours() -> None:
    theirs = message("alipay.something.new", {}, app_id="2021000000000000")
    assert rejection(ADAPTER, theirs) == "not_ours"


@pytest.mark.parametrize(
    "changes",
    [
        {"receipt_amount": "80.80", "invoice_amount": "70.80", "buyer_pay_amount": "60.80"},
        {"point_amount": "8.80", "fund_bill_list": '[{"amount":"8.80","fundChannel":"POINT"}]'},
        {"buyer_pay_amount": "0.00", "receipt_amount": "0.00"},
        {
            "voucher_detail_list": '[{"amount":"10.00","merchantContribute":"0.00","name":"5折"}]',
            "mdiscount_amount": "5.00",
            "discount_amount": "5.00",
        },
        # Abroad: settled and paid in other currencies than the price.
        {
            "trans_currency": "CNY",
            "settle_currency": "USD",
            "settle_amount": "12.49",
            "pay_currency": "HKD",
            "pay_amount": "96.85",
        },
    ],
)
def test_the_price_of_the_order_counts(changes: Mapping[str, str]) -> None:
    assert read_one(ADAPTER, notice({**changes})) == PAYMENT


def test_the_price_of_what_is_returned_counts() -> None:
    _, item = ADAPTER.read(notice({**REFUND, "send_back_fee": "5.00"})).items
    assert isinstance(item.event, events.RefundSucceeded)
    assert item.event.amount == Decimal("8.80")


def test_a_price_in_another_currency() -> None:
    """The trade names it: the account's currency is that of notices that do not."""
    abroad = {"trans_currency": "JPY", "total_amount": "1500", "refund_fee": "500"}
    paid, refund = (item.event for item in ADAPTER.read(notice({**REFUND, **abroad})).items)
    assert isinstance(paid, events.PaymentSucceeded)
    assert isinstance(refund, events.RefundSucceeded)
    assert (paid.amount, paid.currency) == (Decimal(1500), "JPY")
    assert (refund.amount, refund.currency) == (Decimal(500), "JPY")
    unknown = read_one(ADAPTER, notice({"trans_currency": "RMB"}))
    assert isinstance(unknown, events.Unmapped)


def test_refunds_are_told_as_a_total() -> None:
    """Two refunds, the second with what both returned: their numbers and times are their own."""
    second = {**REFUND, "out_biz_no": "R-2", "refund_fee": "18.80", "notify_id": "n2"}
    _, one = ADAPTER.read(notice(REFUND)).items
    _, two = ADAPTER.read(notice({**second, "gmt_refund": "2026-11-25 09:00:00"})).items
    assert isinstance(one.event, events.RefundSucceeded)
    assert isinstance(two.event, events.RefundSucceeded)
    assert one.event.cumulative
    assert two.event.cumulative
    assert (one.event.amount, two.event.amount) == (Decimal("8.80"), Decimal("18.80"))
    assert one.event.occurred_at < two.event.occurred_at


# Orders that are paid by several trades.


def test_deposit_and_balance() -> None:
    """Two trades need two out_trade_no: passback_params may name the order of both."""
    ours = made(order_no_from="passback_params")
    expected = msgspec.structs.replace(PAYMENT, order_no="SO/1001")
    for number in ("SO-1001-D", "SO-1001-B"):
        received = notice({"out_trade_no": number, "passback_params": quote("SO/1001", safe="")})
        assert read_one(ours, received) == expected
    plain = notice({"out_trade_no": "SO-1001-D", "passback_params": "SO/1001"})
    assert read_one(ours, plain) == expected
    *_, refund = ours.read(notice({**REFUND, "passback_params": "SO-7"})).items
    assert isinstance(refund.event, events.RefundSucceeded)
    assert refund.event.order_no == "SO-7"
    # By default it is whatever the merchant writes there.
    assert read_one(ADAPTER, notice({"passback_params": "SO-7"})) == PAYMENT


@pytest.mark.parametrize("passed", [None, "", "%E8%AE%A2", "a b", "x" * 65])
def test_a_trade_that_passes_no_order_number(passed: str | None) -> None:
    ours = made(order_no_from="passback_params")
    assert read_one(ours, notice({"passback_params": passed})) == PAYMENT


def test_a_part_that_times_out_does_not_close_the_order() -> None:
    unpaid = {"trade_status": "TRADE_CLOSED", "gmt_payment": None}
    closed = notice({**unpaid, "passback_params": "SO-1001", "out_trade_no": "SO-1001-B"})
    ours = made(order_no_from="passback_params")
    assert read_one(ours, closed) == events.Noted("TRADE_CLOSED", NOTIFIED_AT)
    alone = notice({**unpaid, "passback_params": None})
    assert read_one(ours, alone) == events.Closed(
        "SO-1001", "timed_out", NOTIFIED_AT, only_unpaid=True
    )


def test_free_text_that_is_passed_through_costs_no_payment() -> None:
    """Not escaped, it looks like more fields: none of them has an effect."""
    assert read_one(ADAPTER, notice({"passback_params": "a=1&b=2"})) == PAYMENT
    ours = made(order_no_from="passback_params")
    event = read_one(ours, notice({"passback_params": "a=1&b=2"}))
    assert isinstance(event, events.PaymentSucceeded)


def test_a_reference_cannot_be_hidden_in_another_field() -> None:
    """The signed text would be the same: a genuine notice must not pay another order."""
    folded = dict(signed({**FIELDS, "passback_params": "SO-1001"}))
    del folded["passback_params"]
    folded["out_trade_no"] = b"SO-1001&passback_params=SO-1001"
    ours = made(order_no_from="passback_params")
    assert rejection(ours, posted(encoded(list(folded.items())))) == "bad_signature"


odd = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.sampled_from(["", "S", "F", "{}", "[]", '{"dback_status":7}', "FREEZE", "PAY", "9" * 3000]),
    st.sampled_from(["a&b=c", "%", "%ff", "\x00", "trade_status_sync", "fund_auth_freeze"]),
)


@given(
    st.dictionaries(
        st.sampled_from(
            sorted({*FROZEN, "msg_method", "utc_timestamp", "biz_content", "notify_type"})
        ),
        odd,
        max_size=4,
    )
)
def test_bent_messages_are_storable_or_rejected(changes: dict[str, str]) -> None:
    """Any content that Alipay could sign is rejected or storable."""
    received = posted(encoded(signed({**FROZEN, **changes})))
    for adapter in (ADAPTER, made(seller_id=SELLER_ID, order_no_from="passback_params")):
        verdict(adapter, received)
