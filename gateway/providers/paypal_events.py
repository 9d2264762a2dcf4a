"""Map an event of PayPal to what happened to an order.

A completed capture is a payment; an approved order is not, nor is an authorisation, whether it is
voided or not. A refund links to its capture, and its own number distinguishes it from other refunds
of that capture. Every event that PayPal documents has its line here; others are parked.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from gateway.domain import errors, events
from gateway.providers import contract, paypal_disputes, paypal_payments, paypal_sales
from gateway.providers.paypal_resources import Occurred
from gateway.providers.shared import fields

#: Nothing was paid, or not yet: the event that books it is another one.
NOTED = frozenset(
    {
        "CHECKOUT.CHECKOUT.BUYER-APPROVED",
        "CHECKOUT.ORDER.APPROVED",
        "CHECKOUT.ORDER.DECLINED",
        "CHECKOUT.ORDER.PROCESSED",
        "CHECKOUT.ORDER.SAVED",
        "CHECKOUT.ORDER.VOIDED",
        "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
        "PAYMENT.AUTHORIZATION.CREATED",
        "PAYMENT.AUTHORIZATION.VOIDED",
        "PAYMENT.CAPTURE.DECLINED",
        "PAYMENT.CAPTURE.DENIED",
        "PAYMENT.CAPTURE.PENDING",
        "PAYMENT.ORDER.CANCELLED",
        "PAYMENT.ORDER.CREATED",
        "PAYMENT.REFUND.PENDING",
        "PAYMENT.SALE.DENIED",
        "PAYMENT.SALE.PENDING",
        "PAYMENTS.PAYMENT.CREATED",
    }
)

#: Families of events that are about no order: accounts, products, plans, and what the merchant pays
#: to others. The payment of a subscription is an event of its own.
NOTED_FAMILIES = (
    "BILLING.",
    "CATALOG.",
    "CUSTOMER.ACCOUNT-",
    "CUSTOMER.ACCOUNT.",
    "CUSTOMER.MANAGED-ACCOUNT.",
    "CUSTOMER.MERCHANT-",
    "CUSTOMER.PAYOUT.",
    "CUSTOMER.USER-PROFILE.",
    "IDENTITY.",
    "INVOICING.",
    "MERCHANT.",
    "PAYMENT.PAYOUTS-ITEM.",
    "PAYMENT.PAYOUTSBATCH.",
    "PAYMENT.REFERENCED-PAYOUT-ITEM.",
    "VAULT.",
)

#: Money moved in a way that cannot be booked: for an invoice, or back from a sale.
MONEY_ELSEWHERE = frozenset(
    {
        "INVOICING.INVOICE.PAID",
        "INVOICING.INVOICE.REFUNDED",
        "PAYMENT.SALE.REVERSED",
    }
)

#: The resource type of an event that is booked, and its reader.
READERS: dict[str, tuple[str, Callable[[Occurred], events.Event]]] = {
    "PAYMENT.CAPTURE.COMPLETED": ("capture", paypal_payments.captured),
    "PAYMENT.CAPTURE.REFUNDED": ("refund", paypal_payments.refunded),
    "PAYMENT.CAPTURE.REVERSED": ("refund", paypal_payments.reversed_),
    "PAYMENT.REFUND.FAILED": ("refund", paypal_payments.refund_failed),
}

#: Those of the older Payments API, which have no version.
SALES: dict[str, Callable[[Occurred], events.Event]] = {
    "PAYMENT.SALE.COMPLETED": paypal_sales.sold,
    "PAYMENT.SALE.REFUNDED": paypal_sales.refunded,
}

#: These have no version that matters.
DISPUTES = frozenset(
    {
        "CUSTOMER.DISPUTE.CREATED",
        "CUSTOMER.DISPUTE.UPDATED",
        "CUSTOMER.DISPUTE.RESOLVED",
        "RISK.DISPUTE.CREATED",  # an older name of the first
    }
)

#: Events that may book more than one thing: an order of several captures, a dispute of several.
SEVERAL: dict[str, Callable[[Occurred], Sequence[events.Event]]] = {
    "CHECKOUT.ORDER.COMPLETED": paypal_payments.ordered,
    **dict.fromkeys(DISPUTES, paypal_disputes.read),
}


class _Event(Struct):
    event_type: str
    id: object = None
    resource: msgspec.Raw = msgspec.Raw()
    create_time: object = None
    resource_type: object = None
    resource_version: object = None


_EVENT = msgspec.json.Decoder(_Event)


def items(
    body: bytes, *, order_no_field: str, merchant_id: str | None, signed: datetime
) -> Sequence[contract.Item]:
    """Decode a verified message, signed at ``signed``. Raises ``Rejected``."""
    event = fields.decoded(_EVENT, body)
    key, kind = fields.key(fields.text(event.id), body), fields.kind(event.event_type)
    at = fields.moment_or(event.create_time, signed)
    occurred = Occurred(kind, event.resource, at, order_no_field, merchant_id)
    if kind in SEVERAL:
        read = _several(occurred)
    else:
        version = fields.text(event.resource_version)
        read = [_read(occurred, fields.text(event.resource_type), version)]
    return [contract.Item(f"{key}:{n}" if n else key, each) for n, each in enumerate(read)]


def _read(occurred: Occurred, resource_type: str, version: str) -> events.Event:
    kind = occurred.kind
    if (of_sale := SALES.get(kind)) is not None:
        return fields.event_or_unmapped(lambda: of_sale(occurred), kind=kind, at=occurred.at)
    if kind not in READERS:
        return _other(occurred)
    expected, reader = READERS[kind]
    # PayPal's own samples omit the version; another version fails to decode.
    if resource_type not in ("", expected) or version not in ("", "2.0", "2"):
        return occurred.unmapped("of another version of the Payments API")
    return fields.event_or_unmapped(lambda: reader(occurred), kind=kind, at=occurred.at)


def _several(occurred: Occurred) -> Sequence[events.Event]:
    try:
        return SEVERAL[occurred.kind](occurred) or [occurred.noted()]
    except errors.Rejected as rejected:
        if rejected.reason != "malformed":
            raise
        return [occurred.unmapped(rejected.hint)]


def _other(occurred: Occurred) -> events.Event:
    kind = occurred.kind
    if kind in MONEY_ELSEWHERE:
        return occurred.unmapped("money moved: check it at PayPal")
    if kind in NOTED or kind.startswith(NOTED_FAMILIES):
        return occurred.noted()
    return occurred.unmapped("not an event whose meaning is known: look it up at PayPal")
