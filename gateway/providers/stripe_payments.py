"""Stripe's payments: intents, checkout sessions, charges, invoices.

A payment is what was captured, in the shop's currency, under the intent's number; that of a charge
without an intent is the charge's. The buyer's currency (``presentment_details``) is not read.
Messages about one payment name each other: a session its invoice, an intent its charge, a payment
of an invoice both.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.domain import events, money
from gateway.providers import stripe_snapshot
from gateway.providers.shared import fields
from gateway.providers.stripe_snapshot import Occurred, Reader


class _Intent(Struct, kw_only=True):
    id: str
    amount_received: int
    currency: str
    latest_charge: object = None
    #: Until version 2022-11-15, in place of ``latest_charge``.
    charges: object = None
    #: Until version 2025-03-31.
    invoice: object = None
    metadata: object = None


class _OpenIntent(Struct, kw_only=True):
    amount_received: int = 0
    currency: str = ""
    cancellation_reason: object = None
    metadata: object = None


class _Conversion(Struct):
    """Until version 2025-03-31 a session was in the buyer's currency; this is the shop's."""

    amount_total: int
    source_currency: str


class _Session(Struct, kw_only=True):
    id: str
    payment_status: object
    mode: object = None
    payment_intent: object = None
    invoice: object = None
    amount_total: int | None = None
    currency: str | None = None
    currency_conversion: _Conversion | None = None
    client_reference_id: object = None
    metadata: object = None


class _Invoice(Struct, kw_only=True):
    id: str
    amount_paid: int
    currency: str
    billing_reason: object = None
    amount_paid_off_stripe: object = None
    metadata: object = None
    parent: object = None
    #: These four until version 2025-03-31.
    payment_intent: object = None
    charge: object = None
    paid_out_of_band: object = None
    subscription_details: object = None


class _Paying(Struct, kw_only=True):
    type: object
    payment_intent: object = None
    charge: object = None


class _InvoicePayment(Struct, kw_only=True):
    amount_paid: int
    currency: str
    invoice: object
    payment: _Paying


_INTENT = msgspec.json.Decoder(_Intent)
_OPEN_INTENT = msgspec.json.Decoder(_OpenIntent)
_SESSION = msgspec.json.Decoder(_Session)
_INVOICE = msgspec.json.Decoder(_Invoice)
_INVOICE_PAYMENT = msgspec.json.Decoder(_InvoicePayment)

#: Whether a session's mode sells anything.
_SELLS: Mapping[object, bool] = {
    None: True,  # sessions of versions before there were modes
    "payment": True,
    "subscription": True,
    "setup": False,  # keeps a card for later
}

#: What a finished session says of the money.
_PAID: Mapping[object, Literal["now", "nothing due", "later"]] = {
    "paid": "now",
    "no_payment_required": "nothing due",
    "unpaid": "later",  # a delayed method, or a payment that is only authorised
}

#: Why an intent was cancelled, and whether that closes its order.
_CLOSES: Mapping[object, bool] = {
    None: True,
    "abandoned": True,
    "automatic": True,
    "expired": True,
    "failed_invoice": True,
    "fraudulent": True,
    "requested_by_customer": True,
    "void_invoice": True,
    "duplicate": False,  # the order has another intent
}

#: Why there is an invoice: the first of an order, or one more of a subscription that goes on.
_BILLED: Mapping[object, Literal["first", "renewal"]] = {
    None: "first",
    "manual": "first",
    "quote_accept": "first",
    "subscription_create": "first",
    "automatic_pending_invoice_item_invoice": "renewal",
    "subscription": "renewal",
    "subscription_cycle": "renewal",
    "subscription_threshold": "renewal",
    "subscription_update": "renewal",
    "upcoming": "renewal",
}


def _intent_succeeded(occurred: Occurred) -> events.Event:
    intent = fields.decoded(_INTENT, occurred.snapshot)
    amount, currency = stripe_snapshot.amount(intent.amount_received, intent.currency)
    return events.PaymentSucceeded(
        transaction_id=fields.transaction_id(intent.id),
        order_no=occurred.order_no(intent.metadata),
        amount=amount,
        currency=currency,
        occurred_at=occurred.at,
        names=stripe_snapshot.names(intent.id, _charge_of(intent), intent.invoice),
    )


def _charge_of(intent: _Intent) -> object:
    """Return the charge that took the money; older versions list those that failed as well."""
    if intent.latest_charge is not None or not isinstance(intent.charges, dict):
        return intent.latest_charge
    listed = intent.charges.get("data")
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("status") == "succeeded":
            return each
    return None


def open_intent(occurred: Occurred) -> events.Event:
    """Read any other event of an intent: nothing is paid before it succeeds."""
    intent = fields.decoded(_OPEN_INTENT, occurred.snapshot)
    if not intent.amount_received:
        return occurred.noted()
    # It is captured in several parts, and the amount of a payment is told once.
    amount, currency = stripe_snapshot.amount(intent.amount_received, intent.currency)
    detail = f"captured {money.named(amount, currency)} so far; booked when the intent succeeds"
    return occurred.unmapped(detail, occurred.order_no(intent.metadata))


def _intent_cancelled(occurred: Occurred) -> events.Event:
    intent = fields.decoded(_OPEN_INTENT, occurred.snapshot)
    if intent.amount_received:
        # Captured in part; what was left was released, and it will not succeed any more.
        return _intent_succeeded(occurred)
    order_no = occurred.order_no(intent.metadata)
    closes = stripe_snapshot.word(_CLOSES, intent.cancellation_reason)
    if closes is None:
        return occurred.unknown("cancellation_reason", intent.cancellation_reason, order_no)
    # No money moved: without an order number there is nothing to close.
    if not closes or not order_no:
        return occurred.noted()
    # Not "cancelled": that is the order's end, and would give back what another intent paid.
    return events.Closed(order_no, "timed_out", occurred.at, only_unpaid=True)


def _session_completed(occurred: Occurred) -> events.Event:
    session = fields.decoded(_SESSION, occurred.snapshot)
    order_no = occurred.order_no(session.metadata, reference=session.client_reference_id)
    is_selling = stripe_snapshot.word(_SELLS, session.mode)
    if is_selling is None:
        return occurred.unknown("mode", session.mode, order_no)
    if not is_selling:
        return occurred.noted()
    due = stripe_snapshot.word(_PAID, session.payment_status)
    if due is None:
        return occurred.unknown("payment_status", session.payment_status, order_no)
    if due == "later":
        # Completed is not paid: the money is reported later, when it came.
        if occurred.kind != "checkout.session.async_payment_succeeded":
            return occurred.noted()
        return occurred.unmapped("a payment that succeeded, of a session that is unpaid", order_no)
    amount, currency = _shop_total(session)
    if due == "nothing due" and amount:
        detail = f"a total of {money.named(amount, currency)}, of which nothing was paid yet"
        return occurred.unmapped(detail, order_no)
    own = stripe_snapshot.number(session.payment_intent) or fields.transaction_id(session.id)
    return events.PaymentSucceeded(
        # The intent's own event reports the same money under the same number.
        transaction_id=own,
        order_no=order_no,
        amount=amount,
        currency=currency,
        occurred_at=occurred.at,
        names=stripe_snapshot.names(own, session.id, session.invoice),
        # A subscription's session does not name the intent, and nothing has one for nothing.
        is_provisional=own == session.id and bool(amount),
    )


def _shop_total(session: _Session) -> tuple[Decimal, str]:
    if (converted := session.currency_conversion) is not None:
        return stripe_snapshot.amount(converted.amount_total, converted.source_currency)
    if session.amount_total is None or session.currency is None:
        raise fields.malformed("a finished checkout session without amount or currency")
    return stripe_snapshot.amount(session.amount_total, session.currency)


def _charge_succeeded(occurred: Occurred) -> events.Event:
    charge = fields.decoded(stripe_snapshot.CHARGE, occurred.snapshot)
    if charge.captured is False:
        # Only authorised.
        return occurred.noted()
    if charge.paid_minor is None:
        raise fields.malformed("a charge without an amount")
    paid_by = stripe_snapshot.number(charge.payment_intent)
    if paid_by and charge.paid_minor != charge.amount and charge.may_capture_more:
        # A part, and more may be captured: the intent tells of all of it, once.
        return occurred.noted()
    amount, currency = stripe_snapshot.amount(charge.paid_minor, charge.currency)
    own = paid_by or fields.transaction_id(charge.id)
    return events.PaymentSucceeded(
        transaction_id=own,
        order_no=occurred.order_no(charge.metadata),
        amount=amount,
        currency=currency,
        occurred_at=occurred.at,
        names=stripe_snapshot.names(own, charge.id, charge.invoice),
    )


def _charge_failed(occurred: Occurred) -> events.Event:
    charge = fields.decoded(stripe_snapshot.CHARGE, occurred.snapshot)
    if not stripe_snapshot.number(charge.failure_balance_transaction):
        return occurred.noted()
    # A bank debit that had succeeded.
    detail = "the payment failed after it had succeeded, and the money was taken back"
    return occurred.unmapped(detail, occurred.order_no(charge.metadata))


def _invoice_paid(occurred: Occurred) -> events.Event:
    invoice = fields.decoded(_INVOICE, occurred.snapshot)
    billed = stripe_snapshot.word(_BILLED, invoice.billing_reason)
    order_no = occurred.order_no(invoice.metadata)
    if billed == "first" and not order_no:
        # A subscription's metadata is that of its first order; renewals carry it too.
        order_no = _order_of_subscription(occurred, invoice)
    if billed is None:
        return occurred.unknown("billing_reason", invoice.billing_reason, order_no)
    amount, currency = stripe_snapshot.amount(invoice.amount_paid, invoice.currency)
    if not amount:
        return occurred.noted()
    if invoice.paid_out_of_band or invoice.amount_paid_off_stripe:
        return occurred.unmapped(
            f"{money.named(amount, currency)} were paid outside Stripe", order_no
        )
    if billed == "renewal" and not order_no:
        detail = (
            f"a renewal of {money.named(amount, currency)}: the invoice's metadata names no order"
        )
        return occurred.unmapped(detail)
    paid_by = stripe_snapshot.number(invoice.payment_intent)
    own = paid_by or stripe_snapshot.number(invoice.charge) or fields.transaction_id(invoice.id)
    return events.PaymentSucceeded(
        transaction_id=own,
        order_no=order_no,
        amount=amount,
        currency=currency,
        occurred_at=occurred.at,
        names=stripe_snapshot.names(own, invoice.id, invoice.charge),
        is_provisional=own == invoice.id,
    )


def _order_of_subscription(occurred: Occurred, invoice: _Invoice) -> str:
    parent = invoice.parent if isinstance(invoice.parent, dict) else {}
    found = (parent.get("subscription_details"), invoice.subscription_details)
    return occurred.order_no(*(each.get("metadata") for each in found if isinstance(each, dict)))


def _invoice_payment_paid(occurred: Occurred) -> events.Event:
    """Read which intent paid an invoice: it names both, and no order.

    The invoice comes first. It is the number that the session knows, which names the order; with
    the intent first, what waits under the intent would not learn of the order.
    """
    paid = fields.decoded(_INVOICE_PAYMENT, occurred.snapshot)
    amount, currency = stripe_snapshot.amount(paid.amount_paid, paid.currency)
    match paid.payment.type:
        case "payment_intent":
            own = stripe_snapshot.number(paid.payment.payment_intent)
        case "charge":
            own = stripe_snapshot.number(paid.payment.charge)
        case "payment_record":
            return occurred.unmapped(f"{money.named(amount, currency)} were paid outside Stripe")
        case other:
            return occurred.unknown("type of payment", other)
    if not own:
        raise fields.malformed("the payment of an invoice does not name what paid it")
    return events.PaymentSucceeded(
        transaction_id=(known_by := stripe_snapshot.number(paid.invoice) or own),
        order_no="",
        amount=amount,
        currency=currency,
        occurred_at=occurred.at,
        names=stripe_snapshot.names(known_by, own),
    )


#: Both tell that an invoice was paid; the second only of those that Stripe collected. Not every
#: webhook is sent both.
INVOICE_PAID = ("invoice.paid", "invoice.payment_succeeded")

READERS: Mapping[str, Reader] = {
    "payment_intent.succeeded": _intent_succeeded,
    "payment_intent.canceled": _intent_cancelled,
    "checkout.session.completed": _session_completed,
    "checkout.session.async_payment_succeeded": _session_completed,
    "charge.succeeded": _charge_succeeded,
    "charge.captured": _charge_succeeded,
    "charge.failed": _charge_failed,
    **dict.fromkeys(INVOICE_PAID, _invoice_paid),
    "invoice_payment.paid": _invoice_payment_paid,
}
