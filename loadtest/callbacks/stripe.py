"""Stripe: snapshot events, the signature in a header."""

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import stripe

from loadtest.callbacks import CHEAP, JSON, STALE, Forgery, Message, Payment, Posted, Refund


class Stripe:
    """A webhook endpoint."""

    provider = "stripe"
    forgeries: tuple[Forgery, ...] = ("foreign_key", "changed", "unsigned", "stale")
    is_cumulative = True

    def __init__(self) -> None:
        self.secret = "whsec_" + secrets.token_hex(16)
        self.options: Mapping[str, object] = {}

    def pay(self, payment: Payment) -> Message:
        """A payment intent that succeeded."""
        key, body = _payment(payment)
        return Message((key,), lambda: self._signed(body))

    def refund(self, refund: Refund) -> Message:
        """A charge of which more was refunded than before."""
        payment = refund.payment
        key = f"evt_{payment.serial}_refund_{refund.number}"
        charge = {
            "id": f"ch_{payment.serial}",
            "object": "charge",
            "payment_intent": payment.transaction_id,
            "amount": _minor(payment.amount),
            "amount_refunded": _minor(refund.total),
            "currency": payment.currency.lower(),
            "metadata": {"order_no": payment.order_no},
        }
        body = _event(key, "charge.refunded", charge)
        return Message((key,), lambda: self._signed(body))

    def forge(self, payment: Payment, how: Forgery) -> Message:
        """A payment that Stripe never sent."""
        key, body = _payment(payment)
        if how == "foreign_key":
            return Message((key,), lambda: Stripe()._signed(body))
        if how == "changed":
            _, cheap = _payment(payment._replace(amount=CHEAP))
            return Message((key,), lambda: Posted(self._signed(cheap).headers, body.encode()))
        if how == "unsigned":
            return Message((key,), lambda: Posted(JSON, body.encode()))
        return Message((key,), lambda: self._signed(body, datetime.now(UTC) - STALE))

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        """Any 2xx will do."""
        return 200 <= status < 300

    def _signed(self, body: str, at: datetime | None = None) -> Posted:
        at_s = int((at or datetime.now(UTC)).timestamp())
        header = stripe.WebhookSignature.generate_signature_header(body, self.secret, at_s)
        return Posted({**JSON, "Stripe-Signature": header}, body.encode())


def _payment(payment: Payment) -> tuple[str, str]:
    key = f"evt_{payment.serial}"
    intent = {
        "id": payment.transaction_id,
        "object": "payment_intent",
        "amount_received": _minor(payment.amount),
        "currency": payment.currency.lower(),
        "metadata": {"order_no": payment.order_no},
        "status": "succeeded",
    }
    return key, _event(key, "payment_intent.succeeded", intent)


def _event(key: str, kind: str, snapshot: Mapping[str, Any]) -> str:
    event = {
        "id": key,
        "object": "event",
        "type": kind,
        "created": int(datetime.now(UTC).timestamp()),
        "livemode": True,
        "data": {"object": snapshot},
    }
    return json.dumps(event)


def _minor(amount: Decimal) -> int:
    return int(amount * 100)
