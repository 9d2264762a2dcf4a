"""Money on its way back at Stripe: refunds, refunds that failed, disputes, warnings of fraud.

Refunds are booked by the total of their charge. The refunds' own events say the same, so only
those of a failed one are booked: Stripe takes its amount off the charge's total without a message
of the charge.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.domain import errors, events
from gateway.providers import stripe_snapshot
from gateway.providers.shared import fields
from gateway.providers.stripe_snapshot import Occurred, Reader


class _OfPayment(Struct, kw_only=True):
    """What a refund, a dispute and a warning share: the payment that each is about."""

    charge: object = None
    payment_intent: object = None
    metadata: object = None

    @property
    def paid_by(self) -> str:
        """The number of the payment: the intent's, or that of a charge without one."""
        return stripe_snapshot.number(self.payment_intent) or stripe_snapshot.number(self.charge)


class _Refund(_OfPayment, kw_only=True):
    id: str
    amount: int
    currency: str
    status: object = None


class _Dispute(_OfPayment, kw_only=True):
    id: str
    amount: int
    currency: str
    status: object
    reason: object = None
    evidence_details: object = None
    balance_transactions: object = None


class _Warning(_OfPayment, kw_only=True):
    actionable: object = None
    fraud_type: object = None


_REFUND = msgspec.json.Decoder(_Refund)
_DISPUTE = msgspec.json.Decoder(_Dispute)
_WARNING = msgspec.json.Decoder(_Warning)

#: Whether the buyer will not get a refund with this status.
_IS_FAILED: Mapping[object, bool] = {
    "pending": False,
    "requires_action": False,
    "succeeded": False,
    "failed": True,
    "canceled": True,
}

#: Where a dispute stands. A warning is an inquiry: no money moved, and it may become a chargeback.
_STATES: Mapping[object, Literal["opened", "won", "lost"]] = {
    "warning_needs_response": "opened",
    "warning_under_review": "opened",
    "warning_closed": "won",
    "needs_response": "opened",
    "under_review": "opened",
    "appeal_needs_response": "opened",
    "appeal_under_review": "opened",
    "won": "won",
    "lost": "lost",
    # Settled before it became a chargeback; where that cost money, see _took_money.
    "prevented": "won",
}


def _charge_refunded(occurred: Occurred) -> events.Event:
    charge = fields.decoded(stripe_snapshot.CHARGE, occurred.snapshot)
    if charge.amount_refunded is None:
        raise fields.malformed("a refunded charge without amount_refunded")
    order_no = occurred.order_no(charge.metadata)
    paid = charge.paid_minor
    if paid == 0:
        # An authorisation that was released: never paid, so never refunded.
        return occurred.noted()
    released = 0 if charge.amount is None or paid is None else max(0, charge.amount - paid)
    returned = charge.amount_refunded - released
    if released and returned == 0:
        return occurred.noted()
    if released and returned < 0:
        # Parts may still be captured, or the total is of another kind: a guess could be wrong.
        return occurred.unmapped("refunded less than what was never captured", order_no)
    amount, currency = stripe_snapshot.amount(returned, charge.currency)
    return events.RefundSucceeded(
        transaction_id=stripe_snapshot.number(charge.payment_intent)
        or fields.transaction_id(charge.id),
        order_no=order_no,
        refund_no="",
        amount=fields.refund_amount(amount, currency),
        cumulative=True,
        currency=currency,
        occurred_at=occurred.at,
    )


def refund(occurred: Occurred) -> events.Event:
    """Read any event of a refund: it counts if the refund failed or was cancelled."""
    told = fields.decoded(_REFUND, occurred.snapshot)
    order_no = occurred.order_no(told.metadata)
    is_failed = stripe_snapshot.word(_IS_FAILED, told.status)
    if is_failed is None:
        return occurred.unknown("status of the refund", told.status, order_no)
    if not is_failed:
        if occurred.kind == "refund.failed":
            return occurred.unmapped(f"a failed refund whose status is {told.status}", order_no)
        return occurred.noted()
    if not told.paid_by:
        return occurred.unmapped("a failed refund that names no payment", order_no)
    amount, currency = stripe_snapshot.amount(told.amount, told.currency)
    return events.RefundFailed(
        transaction_id=told.paid_by,
        order_no=order_no,
        refund_no=fields.token(told.id, "the refund number", fields.REFUND_NO_MAX),
        amount=fields.refund_amount(amount, currency),
        cumulative=True,
        currency=currency,
        occurred_at=occurred.at,
    )


def dispute(occurred: Occurred) -> events.Event:
    """Read any event of a dispute: its status says where it stands, whatever the event is."""
    told = fields.decoded(_DISPUTE, occurred.snapshot)
    order_no = occurred.order_no(told.metadata)
    state = stripe_snapshot.word(_STATES, told.status)
    if state is None:
        return occurred.unknown("status of the dispute", told.status, order_no)
    if not told.paid_by:
        return occurred.unmapped("a dispute that names no payment", order_no)
    if told.status == "prevented" and _took_money(told.balance_transactions):
        state = "lost"
    amount, currency = stripe_snapshot.amount(told.amount, told.currency)
    return events.Dispute(
        transaction_id=told.paid_by,
        order_no=order_no,
        dispute_no=fields.token(told.id, "the dispute's number", fields.REFUND_NO_MAX),
        amount=amount,
        currency=currency,
        state=state,
        reason=stripe_snapshot.plain(told.reason),
        occurred_at=occurred.at,
        due_at=_due_at(told.evidence_details) if state == "opened" else None,
    )


def _took_money(movements: object) -> bool:
    """Return whether a dispute's movements of the balance took more than they gave back."""
    found = movements if isinstance(movements, list) else []
    amounts = [each.get("amount") for each in found if isinstance(each, dict)]
    return sum(amount for amount in amounts if isinstance(amount, int)) < 0


def _due_at(evidence: object) -> datetime | None:
    due_by = evidence.get("due_by") if isinstance(evidence, dict) else None
    if not isinstance(due_by, int) or isinstance(due_by, bool):
        return None
    try:
        return fields.from_unix(due_by)
    except errors.Rejected:
        return None


def _fraud_warning(occurred: Occurred) -> events.Event:
    warning = fields.decoded(_WARNING, occurred.snapshot)
    if warning.actionable is False:
        # Disputed or refunded by now, which other events say.
        return occurred.noted()
    about = warning.paid_by or "a payment"
    detail = (
        f"the card's issuer suspects fraud ({stripe_snapshot.plain(warning.fraud_type)}) in {about}"
    )
    return occurred.unmapped(detail, occurred.order_no(warning.metadata))


READERS: Mapping[str, Reader] = {
    "charge.refunded": _charge_refunded,
    "radar.early_fraud_warning.created": _fraud_warning,
    "radar.early_fraud_warning.updated": _fraud_warning,
}
