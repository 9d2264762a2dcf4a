"""What each event type of WeChat Pay is about, and its products beside the plain payment.

Event types: https://pay.weixin.qq.com, "callback notifications" of each product. One that is in no
table here is parked with its name.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.domain import errors, events
from gateway.providers import contract
from gateway.providers.shared import (
    apiv3,
    apiv3_payments,
    apiv3_refunds,
    apiv3_resources,
    fields,
)

#: ``unpaid``: recorded; the buyer agreed to pay, or not any more, and no money moved.
Kind = Literal["payment", "refund", "service_paid", "complaint", "unpaid"]

EVENT_TYPES: Mapping[str, Kind] = {
    "TRANSACTION.SUCCESS": "payment",
    # Deductions under a contract that failed, or that the buyer repaid to WeChat Pay, which had
    # paid the merchant: the same transaction.
    "TRANSACTION.FAIL": "payment",
    "TRANSACTION.PAY_BACK": "payment",
    "REFUND.SUCCESS": "refund",
    "REFUND.ABNORMAL": "refund",
    "REFUND.CLOSED": "refund",
    # Services paid afterwards (WeChat pay score): confirmed is authorised, paid is captured.
    "PAYSCORE.USER_PAID": "service_paid",
    "PAYSCORE.USER_CONFIRM": "unpaid",
    "PAYSCORE.USER_ACCEPTED": "unpaid",
    "PAYSCORE.USER_OPEN_SERVICE": "unpaid",
    "PAYSCORE.USER_CLOSE_SERVICE": "unpaid",
    "COMPLAINT.CREATE": "complaint",
    "COMPLAINT.STATE_CHANGE": "complaint",
    # Contracts for later deductions.
    "ENTRUST.SIGN": "unpaid",
    "ENTRUST.TERMINATE": "unpaid",
    "PAPAY.SIGN": "unpaid",
    "PAPAY.TERMINATE": "unpaid",
    # A coupon was collected or used; its part of the price is in the payment.
    "COUPON.SEND": "unpaid",
    "COUPON.USE": "unpaid",
}
#: Those about money: they name the merchant.
MONEY: frozenset[Kind | None] = frozenset({"payment", "refund", "service_paid"})
#: What ends a complaint, where the message does not say in which state it is.
_SETTLING = frozenset({"MERCHANT_CONFIRM_COMPLETE"})


class _Combined(Struct):
    sub_orders: list[msgspec.Raw]


class _Part(Struct):
    mchid: str | None = None
    sub_mchid: str | None = None
    out_trade_no: object = None
    attach: object = None


class _Paid(Struct):
    amount: int
    paid_time: object = None
    transaction_id: str | None = None


class _Collection(Struct):
    details: list[msgspec.Raw] = []


class _Service(Struct):
    out_order_no: object = None
    attach: object = None
    collection: _Collection | None = None


class _Complaint(Struct):
    complaint_id: str
    action_type: str = ""
    complaint_state: str = ""
    out_trade_no: object = None
    transaction_id: str = ""
    amount: int | None = None


_COMBINED = msgspec.json.Decoder(_Combined)
_PART = msgspec.json.Decoder(_Part)
_SERVICE = msgspec.json.Decoder(_Service)
_PAID = msgspec.json.Decoder(_Paid)
_COMPLAINT = msgspec.json.Decoder(_Complaint)


def items(
    notice: apiv3.Notice,
    parties: apiv3_resources.Parties,
    *,
    terms: apiv3_resources.Terms,
    merchants: frozenset[str],
) -> list[contract.Item]:
    """Map a notice that is ours. ``merchants`` are those whose part of a combined payment is."""
    kind = EVENT_TYPES.get(notice.kind)
    if kind == "payment" and parties.combine_mchid is not None:
        return _combined(notice, terms, merchants)
    if kind == "service_paid":
        return _service_paid(notice, terms)
    return [contract.Item(notice.key, _event(notice, kind, terms))]


def _event(notice: apiv3.Notice, kind: Kind | None, terms: apiv3_resources.Terms) -> events.Event:
    match kind:
        case "payment":
            return apiv3_payments.event(notice, terms=terms)
        case "refund":
            return apiv3_refunds.event(notice, terms=terms)
        case "complaint":
            return apiv3_resources.event(
                notice, lambda: _complaint(notice, terms), terms=terms, content=notice.plain
            )
        case "unpaid":
            return events.Noted(notice.kind, notice.created_at)
        case _:
            return apiv3_resources.unmapped(notice, "an event type that is not booked")


def _complaint(notice: apiv3.Notice, terms: apiv3_resources.Terms) -> events.Event:
    """Map a buyer's complaint; its text and the buyer's telephone are not read.

    What goes back to the buyer for it is told by a refund, so one that is settled counts as won.
    """
    complaint = fields.decoded(_COMPLAINT, notice.plain)
    complaint_no = fields.token(complaint.complaint_id, "complaint_id", fields.REFUND_NO_MAX)
    order_no = terms.order_no_of_refund(complaint.out_trade_no)
    action = complaint.action_type if fields.is_token(complaint.action_type, 64) else "COMPLAINT"
    if not complaint.transaction_id or not complaint.amount:
        detail = f"complaint {complaint_no} of a buyer ({action}): see the merchant console"
        return apiv3_resources.unmapped(notice, detail, order_no=order_no)
    is_settled = complaint.complaint_state == "PROCESSED" or action in _SETTLING
    return events.Dispute(
        transaction_id=fields.transaction_id(complaint.transaction_id),
        order_no=order_no,
        dispute_no=complaint_no,
        amount=apiv3_resources.amount(complaint.amount, terms.currency),
        currency=terms.currency,
        state="won" if is_settled else "opened",
        reason=action,
        occurred_at=notice.created_at,
    )


def _combined(
    notice: apiv3.Notice, terms: apiv3_resources.Terms, merchants: frozenset[str]
) -> list[contract.Item]:
    """Map one payment for several orders: each of them has a transaction of its own."""
    try:
        parts = fields.decoded(_COMBINED, notice.plain).sub_orders
    except errors.Rejected as rejected:
        return _numbered(notice, [apiv3_resources.unmapped(notice, rejected.hint)])
    if not parts:
        event = apiv3_resources.unmapped(notice, "a combined payment without orders")
        return _numbered(notice, [event])
    return _numbered(notice, [_part(notice, part, terms, merchants) for part in parts])


def _part(
    notice: apiv3.Notice,
    content: msgspec.Raw,
    terms: apiv3_resources.Terms,
    merchants: frozenset[str],
) -> events.Event:
    try:
        part = fields.decoded(_PART, content)
    except errors.Rejected as rejected:
        return apiv3_resources.unmapped(notice, rejected.hint)
    if (part.sub_mchid or part.mchid) not in merchants:
        detail = "a part of a combined payment to a merchant that is not ours: see sub_mchids"
        order_no = terms.order_no(part.out_trade_no, part.attach)
        return apiv3_resources.unmapped(notice, detail, order_no=order_no)
    return apiv3_payments.event(notice, terms=terms, part=content)


def _service_paid(notice: apiv3.Notice, terms: apiv3_resources.Terms) -> list[contract.Item]:
    """Map the payments of a service order, which may be collected in several."""
    try:
        service = fields.decoded(_SERVICE, notice.plain)
    except errors.Rejected as rejected:
        return _numbered(notice, [apiv3_resources.unmapped(notice, rejected.hint)])
    order_no = terms.order_no(service.out_order_no, service.attach)
    if service.collection is None or not service.collection.details:
        detail = "a service that was paid, without the payments (collection.details)"
        return _numbered(notice, [apiv3_resources.unmapped(notice, detail, order_no=order_no)])
    details = service.collection.details
    return _numbered(notice, [_collected(notice, each, order_no, terms) for each in details])


def _collected(
    notice: apiv3.Notice, content: msgspec.Raw, order_no: str, terms: apiv3_resources.Terms
) -> events.Event:
    def read() -> events.Event:
        paid = fields.decoded(_PAID, content)
        if not paid.transaction_id:
            detail = "collected outside WeChat Pay, as the merchant told it: without a transaction"
            return apiv3_resources.unmapped(notice, detail, order_no=order_no)
        return events.PaymentSucceeded(
            transaction_id=fields.transaction_id(paid.transaction_id),
            order_no=order_no,
            amount=apiv3_resources.amount(paid.amount, terms.currency),
            currency=terms.currency,
            occurred_at=fields.from_china_digits(paid.paid_time) or notice.created_at,
        )

    return fields.event_or_unmapped(read, kind=notice.kind, at=notice.created_at, order_no=order_no)


def _numbered(notice: apiv3.Notice, read: list[events.Event]) -> list[contract.Item]:
    """Return the items of a notice, each of several under a key of its own."""
    if len(read) == 1:
        return [contract.Item(notice.key, read[0])]
    return [contract.Item(f"{notice.key}:{n}", event) for n, event in enumerate(read, start=1)]
