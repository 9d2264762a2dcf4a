"""Map an item of Adyen to what happened to an order. Every documented event code has its line.

With ``capture`` automatic an authorisation counts as paid: Adyen reports no capture then. What
ends it before the money came (a cancellation, a failed capture) is money that went back. Otherwise
only a capture counts, and an authorisation may be released without any effect.

``merchantReference`` of what changes a payment is that of the change: the payment names the order.
"""

from collections.abc import Callable
from typing import Any

from gateway.domain import errors, events
from gateway.providers import adyen_disputes
from gateway.providers.adyen_items import Notification
from gateway.providers.shared import fields

#: No money of an order moved, whether with success or without.
NOTED = frozenset(
    {
        "AUTHENTICATION",
        "CANCEL_AUTORESCUE",
        "DIRECT_DEBIT_NOTICE_OF_CHANGE_NOTIFICATION",
        "INFORMATION_SUPPLIED",
        "ISSUER_COMMENTS",
        "MANUAL_REVIEW_ACCEPT",
        "NOTIFICATIONTEST",
        "OFFER_CLOSED",
        "ORDER_OPENED",
        "PENDING",
        "POSTPONED_REFUND",
        "RECURRING_CONTRACT",
        "REPORT_AVAILABLE",
    }
)

#: Somebody must look, and this is why.
PARKED = {
    "AUTORESCUE": "a payment that Adyen tried again: look up its result",
    "HANDLED_EXTERNALLY": "the payment was cancelled or refunded outside of Adyen",
    "MANUAL_REVIEW_REJECT": "a reviewer rejected the payment: Adyen cancels or refunds it",
    "NOTIFICATION_OF_FRAUD": "the bank of the buyer reports fraud: a chargeback may follow",
    "PAIDOUT_REVERSED": "a payout to a third party came back",
    "PAYOUT_DECLINE": "a payout to a third party was declined",
    "PAYOUT_EXPIRE": "a payout to a third party expired",
    "PAYOUT_THIRDPARTY": "a payout to a third party",
    "VOID_PENDING_REFUND": "a refund that was pending was cancelled",
}

_SEVERAL = "a refund of a payment with several captures, and Adyen does not say of which"


def event(notification: Notification) -> events.Event:
    """Return what an item means; what cannot be booked is parked."""
    code = notification.code
    if code in NOTED:
        return notification.noted()
    if code in PARKED:
        return notification.unmapped(PARKED[code])
    reader = READERS.get(code)
    if reader is None:
        return notification.unmapped("not an event whose meaning is known: look it up at Adyen")
    try:
        return reader(notification)
    except errors.Rejected as rejected:
        return notification.unmapped(rejected.hint)


def _authorised(notification: Notification) -> events.Event:
    if not notification.is_success:
        # The payment was declined; the buyer may try again.
        return notification.noted()
    amount, currency = notification.money()
    if not amount:
        # The card was verified to be stored; no money moved.
        return notification.noted(":zero")
    if notification.capture != "automatic":
        return notification.noted(":authorised")
    return events.PaymentSucceeded(
        transaction_id=notification.reference,
        # A payment counts even without an order number.
        order_no=fields.merchant_order_no(notification.item.merchant_reference),
        amount=amount,
        currency=currency,
        occurred_at=notification.at,
    )


def _captured(notification: Notification) -> events.Event:
    if not notification.is_success:
        return notification.unmapped(
            "the capture of a payment failed: the money will not come by itself"
        )
    if notification.is_recaptured:
        return notification.unmapped("captured again, after the capture had failed")
    amount, currency = notification.money()
    is_automatic, is_one_of_several = (
        notification.capture == each for each in ("automatic", "several")
    )
    order_no = fields.merchant_order_no(notification.item.merchant_reference)
    return events.PaymentSucceeded(
        transaction_id=notification.reference if is_one_of_several else notification.payment,
        # Booked with its authorisation already, which names the order. A capture of another
        # amount contradicts that, and is parked: the account is not captured automatically.
        order_no="" if is_automatic else order_no,
        amount=amount,
        currency=currency,
        occurred_at=notification.at,
    )


def _capture_failed(notification: Notification) -> events.Event:
    if not notification.is_success:
        return notification.unmapped("a failed capture without success: look it up at Adyen")
    amount, currency = notification.money_back()
    is_one_of_several = notification.capture == "several"
    return events.Dispute(
        transaction_id=notification.reference if is_one_of_several else notification.payment,
        order_no="",
        dispute_no=notification.reference,
        amount=amount,
        currency=currency,
        state="lost",
        reason=notification.code,
        occurred_at=notification.at,
    )


def _released(notification: Notification) -> events.Event:
    if not notification.is_success or notification.capture != "automatic":
        # The authorisation stands, or nothing was paid with it.
        return notification.noted()
    return events.RefundSucceeded(**_back(notification))


def _expired(notification: Notification) -> events.Event:
    if notification.capture != "automatic":
        return notification.noted()
    return notification.unmapped("what was not captured of the authorisation expired")


def _adjusted(notification: Notification) -> events.Event:
    if not notification.is_success or notification.capture != "automatic":
        return notification.noted()
    return notification.unmapped("the authorised amount was changed")


def _refunded(notification: Notification) -> events.Event:
    if notification.capture == "several":
        return notification.unmapped(_SEVERAL)
    if not notification.is_success:
        return events.RefundFailed(**_back(notification))
    return events.RefundSucceeded(**_back(notification))


def _refund_failed(notification: Notification) -> events.Event:
    if not notification.is_success:
        return notification.unmapped("a failed refund without success: look it up at Adyen")
    if notification.capture == "several":
        return notification.unmapped(_SEVERAL)
    return events.RefundFailed(**_back(notification))


def _order_closed(notification: Notification) -> events.Event:
    if notification.is_success:
        # Each of its payments was reported by itself.
        return notification.noted()
    return notification.unmapped("not paid in full: Adyen gives back the parts that were paid")


def _back(notification: Notification) -> dict[str, Any]:
    """Return the fields of a refund, or of one that failed: each has a number of its own."""
    amount, currency = notification.money_back()
    return {
        "transaction_id": notification.payment,
        "order_no": "",
        "refund_no": notification.reference,
        "amount": amount,
        "cumulative": False,
        "currency": currency,
        "occurred_at": notification.at,
    }


READERS: dict[str, Callable[[Notification], events.Event]] = {
    "AUTHORISATION": _authorised,
    "AUTHORISATION_ADJUSTMENT": _adjusted,
    "CANCELLATION": _released,
    "CANCEL_OR_REFUND": _refunded,
    "CAPTURE": _captured,
    "CAPTURE_FAILED": _capture_failed,
    "EXPIRE": _expired,
    "ORDER_CLOSED": _order_closed,
    "REFUND": _refunded,
    "REFUNDED_REVERSED": _refund_failed,
    "REFUND_FAILED": _refund_failed,
    "REFUND_WITH_DATA": _refunded,
    "TECHNICAL_CANCEL": _released,
    **dict.fromkeys(adyen_disputes.STATES, adyen_disputes.read),
}
