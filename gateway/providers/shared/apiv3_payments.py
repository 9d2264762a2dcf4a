"""Payments of WeChat Pay and Douyin Pay: what each state of one says of the buyer's money."""

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.domain import events
from gateway.providers.shared import apiv3, apiv3_resources, fields

#: ``paid``: the amount was captured. ``unpaid``: nothing was. ``asked``: money came and went back
#: again, and the message does not say how much: a person has to ask the provider.
_Meaning = Literal["paid", "unpaid", "asked"]

#: Every documented ``trade_state``; another one is parked.
TRADE_STATES: Mapping[str, _Meaning] = {
    "SUCCESS": "paid",
    "REFUND": "asked",
    "NOTPAY": "unpaid",
    "CLOSED": "unpaid",
    "USERPAYING": "unpaid",
    "PAYERROR": "unpaid",
    # Deductions under a contract: not yet made, and failed.
    "ACCEPT": "unpaid",
    "PAY_FAIL": "unpaid",
    # Cancelled at the till: ``_meaning`` tells one that was paid.
    "REVOKED": "unpaid",
}


class _Amount(Struct):
    total: int | None = None
    # Its name in the parts of a combined payment.
    total_amount: int | None = None
    currency: str | None = None


class _Payment(Struct):
    trade_state: str = ""
    out_trade_no: object = None
    attach: object = None
    transaction_id: str | None = None
    success_time: object = None
    amount: msgspec.Raw = msgspec.Raw(b"null")
    # The notice of a share for a partner has the event type of a payment, and this.
    receiver: object = None


_PAYMENT = msgspec.json.Decoder(_Payment)
_AMOUNT = msgspec.json.Decoder(_Amount)


def event(
    notice: apiv3.Notice, *, terms: apiv3_resources.Terms, part: msgspec.Raw | None = None
) -> events.Event:
    """Map a payment, or a part of a combined one, by its state; what cannot be read is unmapped."""
    content = notice.plain if part is None else part
    return apiv3_resources.event(
        notice, lambda: _event(notice, content, terms), terms=terms, content=content
    )


def _event(
    notice: apiv3.Notice, content: bytes | msgspec.Raw, terms: apiv3_resources.Terms
) -> events.Event:
    payment = fields.decoded(_PAYMENT, content)
    order_no = terms.order_no(payment.out_trade_no, payment.attach)
    if not payment.trade_state and payment.receiver is not None:
        detail = "a share of a payment for a partner (profit sharing), which is not booked"
        return apiv3_resources.unmapped(notice, detail, order_no=order_no)
    meaning = _meaning(payment)
    if meaning == "unpaid":
        return events.Noted(notice.kind, notice.created_at)
    if meaning != "paid":
        return apiv3_resources.unmapped(notice, _undecided(payment, meaning), order_no=order_no)
    if notice.kind.endswith(".FAIL"):
        detail = "event type and state of the payment disagree: ask the provider"
        return apiv3_resources.unmapped(notice, detail, order_no=order_no)
    if payment.transaction_id is None:
        raise fields.malformed("a payment without its number (transaction_id)")
    found = fields.decoded(_AMOUNT, payment.amount)
    total = found.total if found.total is not None else found.total_amount
    if total is None:
        raise fields.malformed("a payment without its total")
    code = found.currency or terms.currency
    return events.PaymentSucceeded(
        transaction_id=fields.transaction_id(payment.transaction_id),
        order_no=order_no,
        # The price of the order: coupons, whoever pays them, are part of it.
        amount=apiv3_resources.amount(total, code),
        currency=code,
        occurred_at=fields.moment_or(payment.success_time, notice.created_at),
    )


def _meaning(payment: _Payment) -> _Meaning | None:
    meaning = TRADE_STATES.get(payment.trade_state)
    if payment.trade_state == "REVOKED" and payment.success_time:
        return "asked"
    return meaning


def _undecided(payment: _Payment, meaning: _Meaning | None) -> str:
    if meaning is None:
        if not payment.trade_state:
            raise fields.malformed("a payment without its state (trade_state)")
        state = payment.trade_state if fields.is_token(payment.trade_state, 32) else "another one"
        return f"a trade_state that is not documented ({state}): ask the provider"
    return (
        f"the payment is {payment.trade_state}: it was paid, and money went back. The notices of "
        "its refunds say how much; if they are missing, ask the provider"
    )
