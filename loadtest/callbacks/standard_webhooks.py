"""Standard Webhooks: id, time and signature in headers."""

import base64
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import standardwebhooks

from loadtest.callbacks import CHEAP, JSON, STALE, Forgery, Message, Payment, Posted, Refund


class StandardWebhooks:
    """A sender."""

    provider = "standard_webhooks"
    forgeries: tuple[Forgery, ...] = ("foreign_key", "changed", "unsigned", "stale")
    is_cumulative = False

    def __init__(self) -> None:
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.options: Mapping[str, object] = {}
        self._sdk = standardwebhooks.Webhook(self.secret)

    def pay(self, payment: Payment) -> Message:
        """A payment that succeeded."""
        key, body = _payment(payment)
        return Message((key,), lambda: self._signed(key, body))

    def refund(self, refund: Refund) -> Message:
        """One refund alone, with a number of its own."""
        payment = refund.payment
        refund_no = f"re_{payment.serial}_{refund.number}"
        # The message is numbered after what it tells, so both numbers name the same thing.
        key = f"refund:{refund_no}"
        data = {
            "order_no": payment.order_no,
            "transaction_id": payment.transaction_id,
            "refund_no": refund_no,
            "amount": str(refund.amount),
            "currency": payment.currency,
        }
        body = _message("payment.refunded", data)
        return Message((key,), lambda: self._signed(key, body))

    def forge(self, payment: Payment, how: Forgery) -> Message:
        """A payment that the sender never sent."""
        key, body = _payment(payment)
        if how == "foreign_key":
            return Message((key,), lambda: StandardWebhooks()._signed(key, body))
        if how == "changed":
            _, cheap = _payment(payment._replace(amount=CHEAP))
            return Message((key,), lambda: Posted(self._signed(key, cheap).headers, body.encode()))
        if how == "unsigned":
            return Message((key,), lambda: Posted(JSON, body.encode()))
        return Message((key,), lambda: self._signed(key, body, datetime.now(UTC) - STALE))

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        """Any 2xx will do."""
        return 200 <= status < 300

    def _signed(self, key: str, body: str, at: datetime | None = None) -> Posted:
        at = at or datetime.now(UTC)
        headers = {
            "webhook-id": key,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": str(self._sdk.sign(key, at, body)),
        }
        return Posted({**JSON, **headers}, body.encode())


def _payment(payment: Payment) -> tuple[str, str]:
    data = {
        "order_no": payment.order_no,
        "transaction_id": payment.transaction_id,
        "amount": str(payment.amount),
        "currency": payment.currency,
    }
    return f"msg_{payment.serial}", _message("payment.succeeded", data)


def _message(kind: str, data: Mapping[str, Any]) -> str:
    message = {"type": kind, "timestamp": datetime.now(UTC).isoformat(), "data": data}
    return json.dumps(message)
