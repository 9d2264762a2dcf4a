"""Refunds of WeChat Pay and Douyin Pay: each is one event, under the merchant's number for it."""

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.domain import events
from gateway.providers.shared import apiv3, apiv3_resources, fields

#: ``failed``: the money is with the merchant, again or still. Closed: the refund was given up,
#: mostly for lack of balance. Abnormal: the buyer's card is closed or frozen, and the merchant
#: finishes the refund in the console; its success is then told under the same number.
_Meaning = Literal["refunded", "failed", "pending"]

#: Every documented ``refund_status``; another one is parked.
REFUND_STATUSES: Mapping[str, _Meaning] = {
    "SUCCESS": "refunded",
    "CLOSED": "failed",
    "ABNORMAL": "failed",
    "PROCESSING": "pending",
}


class _Amount(Struct):
    refund: int
    currency: str | None = None


class _Refund(Struct):
    out_refund_no: str
    refund_status: str
    out_trade_no: object = None
    transaction_id: str | None = None
    success_time: object = None
    amount: _Amount | None = None


_REFUND = msgspec.json.Decoder(_Refund)


def event(notice: apiv3.Notice, *, terms: apiv3_resources.Terms) -> events.Event:
    """Map a refund by its own status; what cannot be read is unmapped."""
    return apiv3_resources.event(
        notice, lambda: _event(notice, terms), terms=terms, content=notice.plain
    )


def _event(notice: apiv3.Notice, terms: apiv3_resources.Terms) -> events.Event:
    refund = fields.decoded(_REFUND, notice.plain)
    order_no = terms.order_no_of_refund(refund.out_trade_no)
    refund_no = fields.token(refund.out_refund_no, "out_refund_no", fields.REFUND_NO_MAX)
    told = notice.kind.rpartition(".")[2]
    if told in REFUND_STATUSES and told != refund.refund_status:
        return apiv3_resources.unmapped(
            notice, f"event type and status of refund {refund_no} disagree", order_no=order_no
        )
    meaning = REFUND_STATUSES.get(refund.refund_status)
    if meaning is None:
        return apiv3_resources.unmapped(
            notice, f"refund {refund_no} has an unknown status", order_no=order_no
        )
    if meaning == "pending":
        # Accepted, and nothing moved yet: its end is told as well.
        return events.Noted(notice.kind, notice.created_at)
    if refund.amount is None or refund.transaction_id is None:
        raise fields.malformed("a refund without its amount or the payment's number")
    code = refund.amount.currency or terms.currency
    # The refunded part of the order's price, the share of coupons included.
    amount = fields.refund_amount(apiv3_resources.amount(refund.amount.refund, code), code)
    transaction_id = fields.transaction_id(refund.transaction_id)
    if meaning == "failed":
        return events.RefundFailed(
            transaction_id=transaction_id,
            order_no=order_no,
            refund_no=refund_no,
            amount=amount,
            cumulative=False,
            currency=code,
            occurred_at=notice.created_at,
        )
    return events.RefundSucceeded(
        transaction_id=transaction_id,
        order_no=order_no,
        refund_no=refund_no,
        amount=amount,
        cumulative=False,
        currency=code,
        occurred_at=fields.moment_or(refund.success_time, notice.created_at),
    )
