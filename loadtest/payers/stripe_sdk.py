"""The control: Stripe's snapshot events, written here and signed by Stripe's own library."""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import stripe

from loadtest.payers.contract import Forgery, Message, Payment, Posted, Refund, Report

#: The age of a stale signature: Stripe's library accepts five minutes.
_STALE = timedelta(hours=1)
#: The amount in the genuine message whose signature a forger reuses.
_SIGNED_AMOUNT = Decimal("0.01")
#: The type of the event, and the status of the dispute.
_DISPUTES: dict[Report, tuple[str, str]] = {
    "dispute_opened": ("charge.dispute.created", "needs_response"),
    "dispute_won": ("charge.dispute.closed", "won"),
    "dispute_lost": ("charge.dispute.closed", "lost"),
}
_JSON = {"Content-Type": "application/json"}


class StripeSdk:
    """A webhook endpoint of an account of its own."""

    provider = "stripe"
    forgeries: Sequence[Forgery] = ("foreign_key", "changed", "unsigned", "stale")
    is_cumulative = True
    others: frozenset[Report] = frozenset({"refund_failed", *_DISPUTES})

    def __init__(self) -> None:
        self.secrets: Sequence[str] = ("whsec_" + secrets.token_hex(16),)
        self.options: Mapping[str, object] = {}

    def pay(self, payment: Payment) -> Message:
        """Make the event of a payment intent that succeeded."""
        key, body = _payment(payment)
        return Message((key,), _intent_id(payment), lambda: self._signed(body))

    def refund(self, refund: Refund) -> Message:
        """Make the event of a charge that was refunded."""
        payment = refund.payment
        key = f"evt_{payment.serial}_refund_{refund.number}"
        charge = {
            "id": f"ch_{payment.serial}",
            "object": "charge",
            "payment_intent": _intent_id(payment),
            "amount": _minor(payment.amount),
            "amount_refunded": _minor(refund.total),
            "currency": payment.currency.lower(),
            "metadata": {"order_no": payment.order_no},
        }
        body = _event(key, "charge.refunded", charge)
        return Message((key,), _intent_id(payment), lambda: self._signed(body))

    def report(self, kind: Report, payment: Payment, *, back: Decimal) -> Message:
        """Make the event of a refund that failed, or of a dispute of the whole payment."""
        key = f"evt_{payment.serial}_{kind}"
        snapshot: dict[str, Any] = {
            "charge": f"ch_{payment.serial}",
            "payment_intent": _intent_id(payment),
            "currency": payment.currency.lower(),
            "metadata": {},
        }
        if kind == "refund_failed":
            event = "refund.failed"
            snapshot |= {
                "id": f"re_{payment.serial}",
                "object": "refund",
                "amount": _minor(back),
                "status": "failed",
            }
        else:
            event, status = _DISPUTES[kind]
            snapshot |= {
                "id": f"du_{payment.serial}",
                "object": "dispute",
                "amount": _minor(payment.amount),
                "reason": "fraudulent",
                "status": status,
                "evidence_details": {"due_by": None},
            }
        body = _event(key, event, snapshot)
        # A refund fails once, whatever events tell of it.
        known = f"{snapshot['id']}:failed" if kind == "refund_failed" else key
        return Message((known,), _intent_id(payment), lambda: self._signed(body))

    def forge(self, payment: Payment, how: Forgery) -> Message:
        """Make an event that Stripe never sent."""
        key, body = _payment(payment)
        signers: Mapping[Forgery, Callable[[], Posted]] = {
            "foreign_key": lambda: StripeSdk()._signed(body),
            "changed": lambda: Posted(self._signed(cheap).headers, body.encode()),
            "unsigned": lambda: Posted(_JSON, body.encode()),
            "stale": lambda: self._signed(body, datetime.now(UTC) - _STALE),
        }
        _, cheap = _payment(payment._replace(amount=_SIGNED_AMOUNT))
        return Message((key,), _intent_id(payment), signers[how])

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        """Return whether the status is a 2xx."""
        return 200 <= status < 300

    def _signed(self, body: str, at: datetime | None = None) -> Posted:
        at_s = int((at or datetime.now(UTC)).timestamp())
        header = stripe.WebhookSignature.generate_signature_header(body, self.secrets[0], at_s)
        return Posted({**_JSON, "Stripe-Signature": header}, body.encode())


def _intent_id(payment: Payment) -> str:
    return f"pi_{payment.serial}"


def _payment(payment: Payment) -> tuple[str, str]:
    key = f"evt_{payment.serial}"
    intent = {
        "id": _intent_id(payment),
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
