"""What WeChat Pay's words mean: every documented value has its line here, and so has a strange one.

Douyin Pay has the same states of payments and refunds.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import events
from gateway.providers import contract, wechatpay_events
from gateway.providers.shared import apiv3_payments, apiv3_refunds

from . import douyin_pay_samples
from .apiv3_samples import CREATED, MCHID, PAID_AT, PAYMENT, REFUND, callback
from .support import bent, read_one, rejection, verdict
from .wechatpay_samples import ADAPTER, PAID, adapter, signed

BOOKED = events.PaymentSucceeded(
    "4200000000202611231234567890", "SO-1001", Decimal("199.00"), "CNY", PAID_AT
)

TRADE_STATES = {
    "SUCCESS": events.PaymentSucceeded,
    "REFUND": events.Unmapped,
    "NOTPAY": events.Noted,
    "CLOSED": events.Noted,
    "REVOKED": events.Unmapped,
    "USERPAYING": events.Noted,
    "PAYERROR": events.Noted,
    "ACCEPT": events.Noted,
    "PAY_FAIL": events.Noted,
    "PAID": events.Unmapped,
    "success": events.Unmapped,
    "SUCCESS ": events.Unmapped,
    "支付成功": events.Unmapped,
    "": events.Unmapped,
}
REFUND_STATUSES = {
    "SUCCESS": events.RefundSucceeded,
    "CLOSED": events.RefundFailed,
    "ABNORMAL": events.RefundFailed,
    "PROCESSING": events.Noted,
    "REFUNDED": events.Unmapped,
    "success": events.Unmapped,
}
EVENT_TYPES = {
    "TRANSACTION.SUCCESS": events.PaymentSucceeded,
    "TRANSACTION.PAY_BACK": events.PaymentSucceeded,
    # A failure whose resource says that it succeeded.
    "TRANSACTION.FAIL": events.Unmapped,
    "REFUND.SUCCESS": events.RefundSucceeded,
    "REFUND.ABNORMAL": events.RefundFailed,
    "REFUND.CLOSED": events.RefundFailed,
    "PAYSCORE.USER_PAID": events.PaymentSucceeded,
    "PAYSCORE.USER_CONFIRM": events.Noted,
    "PAYSCORE.USER_ACCEPTED": events.Noted,
    "PAYSCORE.USER_OPEN_SERVICE": events.Noted,
    "PAYSCORE.USER_CLOSE_SERVICE": events.Noted,
    "COMPLAINT.CREATE": events.Dispute,
    "COMPLAINT.STATE_CHANGE": events.Dispute,
    "ENTRUST.SIGN": events.Noted,
    "ENTRUST.TERMINATE": events.Noted,
    "PAPAY.SIGN": events.Noted,
    "PAPAY.TERMINATE": events.Noted,
    "COUPON.SEND": events.Noted,
    "COUPON.USE": events.Noted,
    "MALL_TRANSACTION.SUCCESS": events.Unmapped,
    "MCHTRANSFER.BILL.FINISHED": events.Unmapped,
    "PROFITSHARING.RETURN": events.Unmapped,
    "SOMETHING.NEW": events.Unmapped,
}
SERVICE = {
    "mchid": MCHID,
    "service_id": "500001",
    "out_order_no": "SO-1001",
    "state": "DONE",
    "total_amount": 19900,
    "collection": {
        "state": "USER_PAID",
        "total_amount": 19900,
        "paying_amount": 0,
        "paid_amount": 19900,
        "details": [
            {
                "seq": 1,
                "amount": 19900,
                "paid_type": "NEWTON",
                "paid_time": "20261123195834",
                "transaction_id": BOOKED.transaction_id,
            }
        ],
    },
}
COMPLAINT = {
    "complaint_id": "200000020261123210271430103",
    "action_type": "CREATE_COMPLAINT",
    "out_trade_no": "SO-1001",
    "transaction_id": BOOKED.transaction_id,
    "amount": 19900,
    "complaint_time": "2026-11-23T19:58:34+08:00",
    "complaint_state": "PENDING",
    "complaint_detail": "押金没退",
    "payer_phone": "13800138000",
}
CONTENTS = {"PAYSCORE": SERVICE, "COMPLAINT": COMPLAINT, "TRANSACTION": PAYMENT}


def told(kind: str, content: Any) -> contract.Message:
    return signed(callback(kind, content))


def paid(**changes: Any) -> contract.Message:
    return told("TRANSACTION.SUCCESS", PAYMENT | changes)


def test_the_tables_are_complete() -> None:
    assert apiv3_payments.TRADE_STATES.keys() < TRADE_STATES.keys()
    assert apiv3_refunds.REFUND_STATUSES.keys() < REFUND_STATUSES.keys()
    assert wechatpay_events.EVENT_TYPES.keys() < EVENT_TYPES.keys()


@pytest.mark.parametrize(("state", "meaning"), TRADE_STATES.items())
def test_trade_states(state: str, meaning: type) -> None:
    """Only what was captured is booked; what is not known names its order."""
    body = callback("TRANSACTION.SUCCESS", PAYMENT | {"trade_state": state})
    for event in (
        read_one(ADAPTER, signed(body)),
        read_one(douyin_pay_samples.ADAPTER, douyin_pay_samples.signed(body)),
    ):
        assert type(event) is meaning
        if isinstance(event, events.Unmapped):
            assert (event.kind, event.order_no) == ("TRANSACTION.SUCCESS", "SO-1001")
            if state.strip() == state and state.isascii():
                assert state in event.detail


def test_revoked_before_it_was_paid_is_noted() -> None:
    """What was released was never paid."""
    event = read_one(ADAPTER, paid(trade_state="REVOKED", success_time=None))
    assert event == events.Noted("TRANSACTION.SUCCESS", CREATED)


@pytest.mark.parametrize(("status", "meaning"), REFUND_STATUSES.items())
def test_refund_statuses(status: str, meaning: type) -> None:
    kind = f"REFUND.{status}" if status in apiv3_refunds.REFUND_STATUSES else "REFUND.SUCCESS"
    body = callback(kind, REFUND | {"refund_status": status})
    ours = douyin_pay_samples.adapter(refund_events=[kind])
    assert type(read_one(ours, douyin_pay_samples.signed(body))) is meaning
    if kind in wechatpay_events.EVENT_TYPES:
        assert type(read_one(ADAPTER, signed(body))) is meaning


@pytest.mark.parametrize(("kind", "meaning"), EVENT_TYPES.items())
def test_event_types(kind: str, meaning: type) -> None:
    family, _, status = kind.partition(".")
    content = CONTENTS.get(family, {"mchid": MCHID})
    if family == "REFUND":
        content = REFUND | {"refund_status": status}
    event = read_one(ADAPTER, told(kind, content))
    assert type(event) is meaning
    if isinstance(event, events.Noted | events.Unmapped):
        assert event.kind == kind


@pytest.mark.parametrize("state", ["PAY_FAIL", "ACCEPT", "PAYERROR"])
def test_a_deduction_that_failed(state: str) -> None:
    content = PAYMENT | {"trade_state": state, "success_time": None, "amount": None}
    event = read_one(ADAPTER, told("TRANSACTION.FAIL", content))
    assert event == events.Noted("TRANSACTION.FAIL", CREATED)


def test_repaid_to_wechat_pay_is_the_same_payment() -> None:
    """WeChat Pay had paid the merchant: that the buyer repays it is told of the same number."""
    content = PAYMENT | {"bank_type": "BPA", "user_repaid": "Y"}
    assert read_one(ADAPTER, told("TRANSACTION.PAY_BACK", content)) == BOOKED


def test_a_share_for_a_partner_is_no_payment() -> None:
    """Profit sharing has the event type of a payment; nothing of the order changes."""
    content = {
        "mchid": MCHID,
        "transaction_id": BOOKED.transaction_id,
        "order_id": "30000000000000000001",
        "out_order_no": "PS-1",
        "receiver": {"type": "MERCHANT_ID", "account": "1900000110", "amount": 888},
        "success_time": "2026-11-23T19:58:34+08:00",
    }
    event = read_one(ADAPTER, told("TRANSACTION.SUCCESS", content))
    assert isinstance(event, events.Unmapped)
    assert "share" in event.detail


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": {"total": 19900, "payer_total": 18900, "currency": "CNY"}},
        {"amount": {"total": 19900, "payer_total": 0, "settlement_total": 18900}},
        {
            "promotion_detail": [
                {"coupon_id": "1", "scope": "GLOBAL", "type": "CASH", "amount": 1000},
                {"coupon_id": "2", "scope": "SINGLE", "type": "NOCASH", "amount": 500},
            ]
        },
        # Abroad: the buyer pays another currency than the shop charges.
        {
            "amount": {
                "total": 19900,
                "currency": "CNY",
                "payer_total": 21704,
                "payer_currency": "HKD",
                "exchange_rate": {"type": "SETTLEMENT_RATE", "rate": 91690000},
            }
        },
    ],
)
def test_the_price_of_the_order_counts(changes: dict[str, Any]) -> None:
    assert read_one(ADAPTER, paid(**changes)) == BOOKED


@pytest.mark.parametrize(
    "amount",
    [
        {"refund": 900, "payer_refund": 500, "discount_refund": 400, "settlement_refund": 600},
        {"refund": 900, "payer_refund": 0, "total": 19900, "payer_total": 18900},
        {"refund": 900, "currency": "CNY", "payer_refund": 982, "payer_currency": "HKD"},
    ],
)
def test_the_price_of_what_is_returned_counts(amount: dict[str, Any]) -> None:
    event = read_one(ADAPTER, told("REFUND.SUCCESS", REFUND | {"amount": amount}))
    assert isinstance(event, events.RefundSucceeded)
    assert (event.amount, event.currency) == (Decimal("9.00"), "CNY")
    failed = REFUND | {"amount": amount, "refund_status": "CLOSED"}
    event = read_one(ADAPTER, told("REFUND.CLOSED", failed))
    assert isinstance(event, events.RefundFailed)
    assert (event.amount, event.currency) == (Decimal("9.00"), "CNY")


def test_a_shop_abroad() -> None:
    """The currency that is told counts, in payments and in refunds; the account's is for none."""
    amount = {"total": 19900, "currency": "HKD", "payer_total": 18200, "payer_currency": "CNY"}
    event = read_one(ADAPTER, paid(amount=amount))
    assert event == msgspec.structs.replace(BOOKED, currency="HKD")
    amount = {"refund": 900, "currency": "JPY", "payer_refund": 42, "payer_currency": "CNY"}
    event = read_one(ADAPTER, told("REFUND.SUCCESS", REFUND | {"amount": amount}))
    assert isinstance(event, events.RefundSucceeded)
    assert (event.amount, event.currency) == (Decimal(900), "JPY")


# Orders that are paid by several payments.


def combined(*parts: dict[str, Any], **changes: Any) -> contract.Message:
    content = {
        "combine_appid": "wx8888888888888888",
        "combine_mchid": MCHID,
        "combine_out_trade_no": "P-1",
        "sub_orders": list(parts),
        "combine_payer_info": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
    }
    return told("TRANSACTION.SUCCESS", content | changes)


def part(n: int, total: int, **changes: Any) -> dict[str, Any]:
    return {
        "mchid": MCHID,
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "attach": "",
        "success_time": "2026-11-23T19:58:34+08:00",
        "transaction_id": f"420000000020261123000000000{n}",
        "out_trade_no": f"SO-100{n}",
        "amount": {"total_amount": total, "payer_amount": 1, "currency": "CNY"},
    } | changes


def test_a_combined_payment_pays_each_of_its_orders() -> None:
    one, two = ADAPTER.read(combined(part(1, 6000), part(2, 4000))).items
    for n, (item, amount) in enumerate(((one, "60.00"), (two, "40.00")), start=1):
        assert item.event == events.PaymentSucceeded(
            f"420000000020261123000000000{n}", f"SO-100{n}", Decimal(amount), "CNY", PAID_AT
        )
    assert one.key != two.key


def test_one_odd_part_does_not_cost_the_others() -> None:
    odd = [
        part(2, 1, amount={"total_amount": "1"}),
        part(3, 1, trade_state="WHO_KNOWS"),
        part(4, 1, mchid="1900000999"),
        part(5, 1, transaction_id=None),
        7,
    ]
    first, *rest = ADAPTER.read(combined(part(1, 6000), *odd)).items  # type: ignore[arg-type]
    assert isinstance(first.event, events.PaymentSucceeded)
    assert [type(item.event) for item in rest] == [events.Unmapped] * 5
    named = [item.event.order_no for item in rest if isinstance(item.event, events.Unmapped)]
    assert named == ["SO-1002", "SO-1003", "SO-1004", "SO-1005", ""]
    assert len({item.key for item in (first, *rest)}) == 6


def test_a_part_that_is_not_paid_is_noted() -> None:
    _, rest = ADAPTER.read(combined(part(1, 6000), part(2, 1, trade_state="NOTPAY"))).items
    assert rest.event == events.Noted("TRANSACTION.SUCCESS", CREATED)


@pytest.mark.parametrize("parts", [[], None, "x", {}])
def test_a_combined_payment_without_orders_is_parked(parts: Any) -> None:
    assert isinstance(read_one(ADAPTER, combined(sub_orders=parts)), events.Unmapped)


def test_a_combined_payment_of_a_service_provider() -> None:
    """Each part names its merchant: those of the option are ours, the provider's own is not."""
    partner = adapter(sub_mchids=["1900000200"])
    ours = part(1, 6000, sub_mchid="1900000200")
    theirs = part(2, 4000, sub_mchid="1900000201")
    own = part(3, 100)
    first, second, third = partner.read(combined(ours, theirs, own)).items
    assert isinstance(first.event, events.PaymentSucceeded)
    assert isinstance(second.event, events.Unmapped)
    assert isinstance(third.event, events.Unmapped)


@pytest.mark.parametrize("changes", [{"combine_mchid": "1"}, {"combine_appid": "wx0"}])
def test_a_combined_payment_of_others_is_not_ours(changes: Any) -> None:
    assert rejection(ADAPTER, combined(part(1, 6000), **changes)) == "not_ours"


def test_deposit_and_balance() -> None:
    """Two transactions need two out_trade_no: attach may name the order of both."""
    ours = adapter(order_no_from="attach")
    for number in ("SO-1001-D", "SO-1001-B"):
        event = read_one(ours, paid(out_trade_no=number, attach="SO-1001"))
        assert events.order_no(event) == "SO-1001"
    for attach in ("", None, "订单", "a b", 7):
        event = read_one(ours, paid(out_trade_no="SO-9", attach=attach))
        assert events.order_no(event) == "SO-9"
    # A refund is told no attach: its transaction says which order it is of.
    for status in ("SUCCESS", "CLOSED"):
        content = REFUND | {"out_trade_no": "SO-1001-D", "refund_status": status}
        assert events.order_no(read_one(ours, told(f"REFUND.{status}", content))) == ""
    # By default attach is whatever the merchant writes there.
    assert read_one(ADAPTER, paid(attach="SO-7")) == read_one(ADAPTER, PAID)


def test_a_service_paid_in_parts() -> None:
    (whole,) = SERVICE["collection"]["details"]  # type: ignore[index]
    details = [
        whole | {"amount": 6000},
        whole | {"amount": 4000, "transaction_id": "42-2", "paid_time": "later"},
        {"seq": 3, "amount": 9900, "paid_type": "MCH", "paid_time": "20261123195834"},
        {"seq": 4, "amount": "1"},
    ]
    content = SERVICE | {"collection": {"details": details}}
    one, two, cash, odd = (
        item.event for item in ADAPTER.read(told("PAYSCORE.USER_PAID", content)).items
    )
    assert one == msgspec.structs.replace(BOOKED, amount=Decimal("60.00"))
    assert two == events.PaymentSucceeded("42-2", "SO-1001", Decimal("40.00"), "CNY", CREATED)
    for parked in (cash, odd):
        assert isinstance(parked, events.Unmapped)
        assert parked.order_no == "SO-1001"


@pytest.mark.parametrize("collection", [None, {}, {"details": []}, {"details": 7}])
def test_a_service_without_its_payments_is_parked(collection: Any) -> None:
    content = SERVICE | {"collection": collection}
    assert isinstance(read_one(ADAPTER, told("PAYSCORE.USER_PAID", content)), events.Unmapped)


# Complaints.


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "opened"),
        ({"action_type": "CONTINUE_COMPLAINT", "complaint_state": "PROCESSING"}, "opened"),
        ({"action_type": "SELLER_REFUND", "complaint_state": "PROCESSING"}, "opened"),
        ({"action_type": "REFUND_SUCCESS", "complaint_state": "PROCESSED"}, "won"),
        ({"action_type": "MERCHANT_CONFIRM_COMPLETE", "complaint_state": ""}, "won"),
        ({"action_type": "SOMETHING_NEW", "complaint_state": "PAYER_COMPLAINTED"}, "opened"),
    ],
)
def test_a_complaint_is_a_dispute(changes: dict[str, Any], state: str) -> None:
    """Its amount and payment are told; what goes back for it is told by a refund."""
    content = COMPLAINT | changes
    event = read_one(ADAPTER, told("COMPLAINT.STATE_CHANGE", content))
    assert isinstance(event, events.Dispute)
    assert event == events.Dispute(
        transaction_id=BOOKED.transaction_id,
        order_no="SO-1001",
        dispute_no="200000020261123210271430103",
        amount=Decimal("199.00"),
        currency="CNY",
        state=event.state,
        reason=str(content["action_type"]),
        occurred_at=CREATED,
    )
    assert event.state == state


@pytest.mark.parametrize("lacks", ["transaction_id", "amount"])
def test_a_complaint_that_names_no_money_is_parked(lacks: str) -> None:
    """Newer notices tell the number of the complaint alone."""
    content = {name: value for name, value in COMPLAINT.items() if name != lacks}
    event = read_one(ADAPTER, told("COMPLAINT.CREATE", content))
    assert isinstance(event, events.Unmapped)
    assert "200000020261123210271430103" in event.detail
    assert "CREATE_COMPLAINT" in event.detail
    assert "13800138000" not in event.detail
    only = {"complaint_id": "2000", "action_type": "USER_RESPONSE"}
    assert isinstance(read_one(ADAPTER, told("COMPLAINT.STATE_CHANGE", only)), events.Unmapped)


def test_the_time_of_a_service_is_chinas() -> None:
    event = read_one(ADAPTER, told("PAYSCORE.USER_PAID", SERVICE))
    assert event.occurred_at == datetime(2026, 11, 23, 11, 58, 34, tzinfo=UTC)


SHAPES = {
    "TRANSACTION.SUCCESS": {
        "combine_mchid": MCHID,
        "sub_orders": [part(1, 6000), part(2, 4000)],
    },
    "PAYSCORE.USER_PAID": SERVICE,
    "COMPLAINT.CREATE": COMPLAINT,
}


@given(
    st.sampled_from(sorted(SHAPES)).flatmap(
        lambda kind: st.tuples(st.just(kind), bent(SHAPES[kind]))
    )
)
def test_bent_resources_are_storable_or_rejected(told_of: tuple[str, Any]) -> None:
    """Any content that WeChat Pay could encrypt is rejected or storable, each item by its key."""
    for ours in (ADAPTER, adapter(order_no_from="attach")):
        reading = verdict(ours, told(*told_of))
        keys = [item.key for item in reading.items] if reading else []
        assert len(keys) == len(set(keys))
