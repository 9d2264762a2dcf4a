"""Events of Stripe, and how the tests sign them."""

import hmac
import json
from datetime import UTC, datetime
from typing import Any

from gateway.providers import contract, stripe

from .support import (
    NOW_S,
    account,
    message,
)

SECRET = "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH"
NEXT_SECRET = "whsec_nextnextnextnextnextnextnextnext"
ADAPTER = stripe.adapter(account(SECRET))
CREATED = datetime(2026, 11, 23, 11, 59, 0, tzinfo=UTC)

INTENT: dict[str, Any] = {
    "id": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
    "object": "payment_intent",
    "amount": 20000,
    "amount_received": 19900,
    "currency": "usd",
    "metadata": {"order_no": "SO-1001", "basket": "7"},
    "status": "succeeded",
}
SESSION: dict[str, Any] = {
    "id": "cs_test_a1b2c3",
    "object": "checkout.session",
    "mode": "payment",
    "payment_intent": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
    "payment_status": "paid",
    "amount_total": 19900,
    "currency": "usd",
    "client_reference_id": "SO-1001",
    "metadata": {},
}
CHARGE: dict[str, Any] = {
    "id": "ch_3MmlLrLkdIwHu7ix0snN0B15",
    "object": "charge",
    "payment_intent": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
    "amount": 19900,
    "amount_captured": 19900,
    "amount_refunded": 900,
    "captured": True,
    "currency": "usd",
    "metadata": {"order_no": "SO-1001"},
}
#: A subscription's session names the invoice, and not the intent that paid it.
SUBSCRIBED: dict[str, Any] = SESSION | {
    "mode": "subscription",
    "payment_intent": None,
    "invoice": "in_1MtHbELkdIwHu7ixl4OzzPMv",
    "subscription": "sub_1MowQVLkdIwHu7ixeRlqHVzs",
}
INVOICE: dict[str, Any] = {
    "id": "in_1MtHbELkdIwHu7ixl4OzzPMv",
    "object": "invoice",
    "amount_paid": 19900,
    "billing_reason": "subscription_create",
    "currency": "usd",
    "metadata": {},
    "parent": {
        "type": "subscription_details",
        "subscription_details": {
            "metadata": {"order_no": "SO-1001"},
            "subscription": "sub_1MowQVLkdIwHu7ixeRlqHVzs",
        },
    },
}
INVOICE_PAYMENT: dict[str, Any] = {
    "id": "inpay_1M3USa2eZvKYlo2CBjuwbq0N",
    "object": "invoice_payment",
    "amount_paid": 19900,
    "currency": "usd",
    "invoice": "in_1MtHbELkdIwHu7ixl4OzzPMv",
    "payment": {"type": "payment_intent", "payment_intent": "pi_3MtwBwLkdIwHu7ix28a3tqPa"},
    "status": "paid",
}
REFUND: dict[str, Any] = {
    "id": "re_1Nispe2eZvKYlo2Cd31jOCgZ",
    "object": "refund",
    "amount": 900,
    "charge": "ch_3MmlLrLkdIwHu7ix0snN0B15",
    "created": int(CREATED.timestamp()) - 86400,
    "currency": "usd",
    "failure_reason": "expired_or_canceled_card",
    "metadata": {},
    "payment_intent": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
    "status": "failed",
}
DISPUTE: dict[str, Any] = {
    "id": "du_1MtJUT2eZvKYlo2CNaw2HvEv",
    "object": "dispute",
    "amount": 19900,
    "balance_transactions": [],
    "charge": "ch_3MmlLrLkdIwHu7ix0snN0B15",
    "created": int(CREATED.timestamp()) - 86400,
    "currency": "usd",
    "evidence_details": {"due_by": int(CREATED.timestamp()) + 86400, "has_evidence": False},
    "metadata": {},
    "payment_intent": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
    "reason": "fraudulent",
    "status": "needs_response",
}


def event(kind: str, snapshot: Any, **changes: Any) -> dict[str, Any]:
    return {
        "id": "evt_1NG8Du2eZvKYlo2CUI79vXWy",
        "object": "event",
        "api_version": "2026-09-30",
        "created": int(CREATED.timestamp()),
        "data": {"object": snapshot},
        "livemode": True,
        "pending_webhooks": 1,
        "request": {"id": "req_1", "idempotency_key": None},
        "type": kind,
    } | changes


def signature(body: bytes, *, secret: str = SECRET, at: int = NOW_S) -> str:
    mac = hmac.new(secret.encode(), b"%d.%b" % (at, body), "sha256")
    return f"t={at},v1={mac.hexdigest()}"


def signed(content: Any, *, secret: str = SECRET, at: int = NOW_S) -> contract.Message:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return message(body, {"Stripe-Signature": signature(body, secret=secret, at=at)})


PAID = signed(event("payment_intent.succeeded", INTENT))
