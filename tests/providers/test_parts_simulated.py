"""Orders that are paid by several payments, as the simulated providers of China report them."""

from typing import Any

import pytest

from gateway.domain import events, orders
from ops.simulators.contract import Account

from . import subjects
from .subjects import Subject
from .support import NOW

#: Where each of them passes the order number through.
PASSED = {
    "alipay": "passback_params",
    "douyin_pay": "attach",
    "unionpay": "reqReserved",
    "wechatpay": "attach",
}

pytestmark = [pytest.mark.usefixtures("pooled_keys"), pytest.mark.parametrize("name", PASSED)]


def passing(name: str) -> Subject:
    """Return the provider with an account that passes the order number through."""
    of = subjects.subject(name)
    options = dict(of.account.options) | {"order_no_from": PASSED[name]}
    ours = Account(of.account.secrets, options, of.account.private)
    return Subject(name, subjects.build(name, ours), ours, of.played, of.played.simulator(ours))


def told(of: Subject, kind: Any) -> events.Event:
    reading = subjects.reading(of.adapter, of.simulator.message(kind, of.trade(), at=NOW))
    assert not isinstance(reading, str)
    event = reading.items[-1].event
    assert not isinstance(event, orders.Submission)
    return event


def test_deposit_and_balance_are_two_payments_of_one_order(name: str) -> None:
    for of in (subjects.subject(name), passing(name)):
        deposit, balance, whole = (told(of, kind) for kind in ("part_paid", "rest_paid", "paid"))
        amounts = []
        for event in (deposit, balance, whole):
            assert isinstance(event, events.PaymentSucceeded)
            assert event.order_no == of.trade().order_no
            amounts.append(event.amount)
        assert amounts[0] + amounts[1] == amounts[2]
        assert len({events.transaction_id(event) for event in (deposit, balance, whole)}) == 3
        assert events.transaction_id(whole) == of.played.transaction_no(of.trade())


def test_their_own_numbers_name_no_order(name: str) -> None:
    """Read by another account, the number of the payment is that of another order."""
    of = passing(name)
    blind = subjects.build(name, of.account, order_no_from=_usual(name))
    posted = of.simulator.message("part_paid", of.trade(), at=NOW)
    reading = subjects.reading(blind, posted)
    assert not isinstance(reading, str)
    event = reading.items[-1].event
    assert isinstance(event, events.PaymentSucceeded)
    assert event.order_no == f"{of.trade().order_no}D"


def test_a_failed_refund_is_that_of_the_partial_refund(name: str) -> None:
    of = passing(name)
    if "refund_failed" not in of.played.KINDS:
        assert name == "alipay", "only Alipay has no notice of it"
        return
    refund, failed = told(of, "partial_refund"), told(of, "refund_failed")
    assert isinstance(refund, events.RefundSucceeded)
    assert isinstance(failed, events.RefundFailed)
    assert (failed.refund_no, failed.amount, failed.transaction_id) == (
        refund.refund_no,
        refund.amount,
        refund.transaction_id,
    )
    assert failed.occurred_at >= refund.occurred_at


def _usual(name: str) -> str:
    return "orderId" if name == "unionpay" else "out_trade_no"
