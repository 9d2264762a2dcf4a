"""How Douyin Pay's adapter reads genuine callbacks, and which merchants it accepts."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import events
from gateway.providers import contract, douyin_pay
from ops.simulators import douyin_pay as simulated
from ops.simulators.contract import Trade

from .apiv3_samples import CREATED, MCHID, PAID_AT, PAYMENT, REFUND, callback
from .douyin_pay_samples import ADAPTER, PAID, adapter, signed
from .support import NOW, account, bent, message, read_one, rejection, verdict

pytestmark = pytest.mark.usefixtures("pooled_keys")


@pytest.mark.parametrize("kind", ["PAYMENT.SUCCESS", "TRANSACTION.SUCCESS"])
def test_payment(kind: str) -> None:
    """Both documented names of the event are a payment, in yuan."""
    assert ADAPTER.read(signed(callback(kind, PAYMENT))).items == [
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
    assert read_one(ADAPTER, signed(callback("REFUND.SUCCESS", REFUND))) == events.RefundSucceeded(
        transaction_id="4200000000202611231234567890",
        order_no="SO-1001",
        refund_no="RF-1",
        amount=Decimal("9.00"),
        cumulative=False,
        currency="CNY",
        occurred_at=PAID_AT,
    )


def test_event_types_are_options() -> None:
    """What the platform really calls its events can be entered; the resource still decides."""
    ours = adapter(payment_events=["PAY.DONE"], refund_events=["BACK.DONE"])
    assert read_one(ours, signed(callback("PAY.DONE", PAYMENT))) == read_one(ADAPTER, PAID)
    closed = REFUND | {"refund_status": "PROCESSING"}
    assert read_one(ours, signed(callback("BACK.DONE", closed))) == events.Noted(
        "BACK.DONE", CREATED
    )
    unpaid = PAYMENT | {"trade_state": "NOTPAY"}
    assert read_one(ours, signed(callback("PAY.DONE", unpaid))) == events.Noted("PAY.DONE", CREATED)
    assert isinstance(read_one(ours, PAID), events.Unmapped)


@pytest.mark.parametrize(
    ("kind", "resource", "meaning"),
    [
        ("TRANSACTION.FAIL", PAYMENT | {"trade_state": "PAYERROR"}, events.Noted),
        ("TRANSACTION.FAIL", PAYMENT, events.Unmapped),
        ("PAYMENT.SUCCESS", PAYMENT | {"trade_state": "CLOSED"}, events.Noted),
        ("PAYMENT.SUCCESS", PAYMENT | {"trade_state": "REFUND"}, events.Unmapped),
        ("PAYMENT.SUCCESS", PAYMENT | {"trade_state": "WHO_KNOWS"}, events.Unmapped),
        ("REFUND.CLOSED", REFUND | {"refund_status": "CLOSED"}, events.RefundFailed),
        ("REFUND.ABNORMAL", REFUND | {"refund_status": "ABNORMAL"}, events.RefundFailed),
        ("REFUND.SUCCESS", REFUND | {"refund_status": "CLOSED"}, events.Unmapped),
        ("REFUND.SUCCESS", REFUND | {"refund_status": "WHO_KNOWS"}, events.Unmapped),
        ("TRANSFER.SUCCESS", {"mchid": MCHID}, events.Unmapped),
        ("TRANSFER.SUCCESS", {"order_id": 7}, events.Unmapped),
    ],
)
def test_what_pays_nothing(kind: str, resource: Any, meaning: type) -> None:
    """What moved no money is noted; what is not understood waits for a person."""
    result = read_one(ADAPTER, signed(callback(kind, resource)))
    assert type(result) is meaning
    if meaning is not events.RefundFailed:
        assert events.action(result) == kind


@pytest.mark.parametrize(
    "changes",
    [
        {"mchid": "1900000110"},
        {"mchid": None},
        {"appid": "aw0000000000000000"},
        {"sp_mchid": MCHID, "sub_mchid": "1"},
    ],
)
def test_other_merchants_and_apps_are_not_ours(changes: Any) -> None:
    """A payment to another merchant, of another app or of a service provider is rejected."""
    received = signed(callback("PAYMENT.SUCCESS", PAYMENT | changes))
    assert rejection(ADAPTER, received) == "not_ours"
    other = signed(callback("TRANSFER.SUCCESS", {"mchid": "1"}))
    assert rejection(ADAPTER, other) == "not_ours"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"[" * 200_000,
        json.dumps(callback("A", {}, resource=None)).encode(),
        json.dumps(callback("PAYMENT.SUCCESS", [])).encode(),
        json.dumps(callback("PAYMENT.SUCCESS", b"\xff")).encode(),
    ],
)
def test_malformed_bodies_are_rejected(body: bytes) -> None:
    """A valid signature over nonsense is rejected as malformed."""
    assert rejection(ADAPTER, signed(body)) == "malformed"


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("PAYMENT.SUCCESS", PAYMENT | {"amount": {"total": 10**400}}),
        ("REFUND.SUCCESS", REFUND | {"amount": {"refund": 0}}),
        ("REFUND.SUCCESS", REFUND | {"out_refund_no": ""}),
    ],
)
def test_money_of_the_wrong_shape_is_parked(kind: str, resource: Any) -> None:
    assert isinstance(read_one(ADAPTER, signed(callback(kind, resource))), events.Unmapped)


def test_money_counts_whatever_the_order_is_called() -> None:
    received = signed(callback("PAYMENT.SUCCESS", PAYMENT | {"out_trade_no": "S O"}))
    result = read_one(ADAPTER, received)
    assert isinstance(result, events.PaymentSucceeded)
    assert result.order_no == ""


@given(
    st.sampled_from(["PAYMENT.SUCCESS", "REFUND.SUCCESS", "TRANSACTION.FAIL", "OTHER"]),
    st.sampled_from([PAYMENT, REFUND]).flatmap(bent),
)
def test_bent_resources_are_storable_or_rejected(kind: str, resource: Any) -> None:
    """Any content that Douyin Pay could encrypt is rejected or storable."""
    verdict(ADAPTER, signed(callback(kind, resource)))


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        ("accepted", 200, b'{"code":"SUCCESS","message":"OK"}'),
        ("later", 503, b'{"code":"FAIL","message":"try again"}'),
        ("rejected", 400, b'{"code":"FAIL","message":"refused"}'),
    ],
)
def test_replies(answer: contract.Answer, status: int, body: bytes) -> None:
    """Success is 200 with its code; failures are neither."""
    reply = ADAPTER.reply(answer)
    assert reply == contract.Reply(status, body, "application/json")
    simulator = simulated.simulator(simulated.create())
    is_acknowledged = simulator.is_acknowledged(reply.status, reply.content_type, reply.body)
    assert is_acknowledged == (answer == "accepted")


def test_only_success_acknowledges() -> None:
    """Status and code must both say so."""
    simulator = simulated.simulator(simulated.create())
    for status, body in (
        (200, b""),
        (200, b"success"),
        (200, b"[]"),
        (200, b'{"code":"FAIL"}'),
        (500, b'{"code":"SUCCESS"}'),
    ):
        assert not simulator.is_acknowledged(status, "application/json", body)


TRADE = Trade("T1", "SO-1001", Decimal("199.00"), Decimal("9.01"), "CNY")


def test_the_simulator_sends_every_kind() -> None:
    """Paid, refunded in part, refunded for the rest: the adapter reads what the simulator sends."""
    ours = simulated.create()
    simulator = simulated.simulator(ours)
    adapter = douyin_pay.adapter(account(*ours.secrets, **ours.options))

    def read_simulated(kind: Any, attempt: int = 0) -> contract.Reading:
        posted = simulator.message(kind, TRADE, at=NOW, attempt=attempt)
        return adapter.read(message(posted.body, posted.headers))

    assert read_simulated("paid") == read_simulated("paid", attempt=1)
    (item,) = read_simulated("paid").items
    payment = item.event
    assert isinstance(payment, events.PaymentSucceeded)
    assert (payment.order_no, payment.amount) == ("SO-1001", Decimal("199.00"))
    amounts = {}
    for kind in ("partial_refund", "refund"):
        (item,) = read_simulated(kind).items
        refund = item.event
        assert isinstance(refund, events.RefundSucceeded)
        assert refund.transaction_id == payment.transaction_id
        amounts[refund.refund_no] = refund.amount
    assert sorted(amounts.values()) == [Decimal("9.01"), Decimal("189.99")]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("foreign_key", "bad_signature"),
        ("changed", "bad_signature"),
        ("unsigned", "missing_signature"),
        ("stale", "stale"),
        ("not_ours", "not_ours"),
    ],
)
def test_simulated_forgeries_are_rejected(how: Any, reason: str) -> None:
    """Every forgery is rejected for the expected reason, even with the widest window."""
    ours = simulated.create()
    assert how in simulated.FORGERIES
    wide = account(*ours.secrets, **ours.options, tolerance_s=86_640)
    for kind in sorted(simulated.KINDS):
        posted = simulated.simulator(ours).forged(how, kind, TRADE, at=NOW)
        assert rejection(douyin_pay.adapter(wide), message(posted.body, posted.headers)) == reason
