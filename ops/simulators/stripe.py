"""Simulated Stripe: snapshot events of a webhook endpoint, signed again for each delivery.

Written from Stripe's documentation, not from the gateway: amounts in its smallest unit, refunds as
the total of the charge so far, the signature over ``t``, a full stop and the body. A part of an
order is paid by an intent of its own.
"""

import hashlib
import hmac
import json
import secrets
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ops.simulators.contract import Account, Forgery, Kind, Posted, Simulator, Trade

KINDS: frozenset[Kind] = frozenset(
    {
        "paid", "part_paid", "rest_paid", "partial_refund", "refund_failed", "refund",
        "dispute_opened", "dispute_won", "dispute_lost", "closed",
    }
)  # fmt: skip
FORGERIES: frozenset[Forgery] = frozenset(
    {"foreign_key", "changed", "unsigned", "stale", "not_ours"}
)
CURRENCIES = ("EUR", "JPY", "KWD", "ISK")

#: The type of the event, and the status of the dispute.
_DISPUTES: dict[Kind, tuple[str, str]] = {
    "dispute_opened": ("charge.dispute.created", "needs_response"),
    "dispute_won": ("charge.dispute.closed", "won"),
    "dispute_lost": ("charge.dispute.closed", "lost"),
}
_DISPUTE_DAYS = 20

_API_VERSION = "2025-09-30.clover"
# By Stripe's page of currencies. ISK and UGX have no decimals and are sent with two.
_WHOLE = frozenset(
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()
)  # fmt: skip
_THOUSANDTHS = frozenset("BHD JOD KWD OMR TND".split())


def create() -> Account:
    """Make a webhook endpoint of a new account in live mode."""
    secret = "whsec_" + secrets.token_urlsafe(24).replace("-", "a").replace("_", "b")
    return Account(secrets=(secret,), options={}, private={})


def simulator(account: Account) -> Simulator:
    """Return the simulated Stripe of an endpoint."""
    return _Stripe(account)


def transaction_no(trade: Trade) -> str:
    """Return the number of the payment that the gateway books for this trade."""
    return _id("pi_", "intent", trade)


class _Stripe:
    def __init__(self, account: Account) -> None:
        self._secret = account.secrets[0]
        self._is_live = bool(account.options.get("livemode", True))
        self._connect_account = account.options.get("connect_account")
        self._order_no_key = str(account.options.get("order_no_key", "order_no"))

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        return _signed(self._body(self._event(kind, trade, at)), self._secret, at)

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        event = self._event(kind, trade, at)
        if how == "not_ours":
            # Genuine, but of the other mode: no real money.
            event["livemode"] = not self._is_live
        body = self._body(event)
        if how == "foreign_key":
            return _signed(body, self._secret + "x", at)
        if how == "stale":
            return _signed(body, self._secret, at - timedelta(days=1))
        posted = _signed(body, self._secret, at)
        if how == "changed":
            event["data"]["object"]["currency"] = "usd"
            event["data"]["object"]["amount"] += 1000
            return Posted(posted.headers, self._body(event))
        if how == "unsigned":
            # Test clocks send v0 beside v1; it must not count.
            header = posted.headers["Stripe-Signature"].replace("v1=", "v0=")
            return Posted({**posted.headers, "Stripe-Signature": header}, posted.body)
        return posted

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        """Require any 2xx; Stripe ignores the body."""
        return 200 <= status < 300

    def _body(self, event: dict[str, Any]) -> bytes:
        # Stripe's own layout: two blanks a level.
        return json.dumps(event, indent=2).encode()

    def _event(self, kind: Kind, trade: Trade, at: datetime) -> dict[str, Any]:
        name, content = self._content(kind, trade, int(at.timestamp()))
        event: dict[str, Any] = {
            "id": _id("evt_", kind, trade),
            "object": "event",
            "api_version": _API_VERSION,
            "created": int(at.timestamp()),
            "data": {"object": content},
            "livemode": self._is_live,
            "pending_webhooks": 1,
            "request": {"id": _id("req_", kind, trade)[:18], "idempotency_key": None},
            "type": name,
        }
        if self._connect_account is not None:
            event["account"] = self._connect_account
        return event

    def _content(self, kind: Kind, trade: Trade, created: int) -> tuple[str, dict[str, Any]]:
        if kind in ("paid", "part_paid", "rest_paid", "closed"):
            return self._intent(kind, trade, created)
        if kind in ("partial_refund", "refund"):
            return "charge.refunded", self._charge(trade, created, is_whole=kind == "refund")
        of_payment = {
            "charge": _id("ch_", "charge", trade),
            "created": created,
            "currency": trade.currency.lower(),
            # Metadata of the payment is not that of its refunds and disputes.
            "metadata": {},
            "payment_intent": _id("pi_", "intent", trade),
        }
        if kind == "refund_failed":
            return "refund.failed", {
                "id": _id("re_", "refund", trade),
                "object": "refund",
                "amount": _minor(trade.refunded, trade.currency),
                "failure_reason": "expired_or_canceled_card",
                "reason": "requested_by_customer",
                "status": "failed",
                **of_payment,
            }
        if kind in _DISPUTES:
            name, status = _DISPUTES[kind]
            due_by = created + _DISPUTE_DAYS * 86400
            return name, {
                "id": _id("du_", "dispute", trade),
                "object": "dispute",
                "amount": _minor(trade.amount, trade.currency),
                "evidence_details": {"due_by": due_by, "has_evidence": False, "past_due": False},
                "is_charge_refundable": False,
                "livemode": self._is_live,
                "reason": "product_not_received",
                "status": status,
                **of_payment,
            }
        raise ValueError(f"Stripe sends no message {kind}")

    def _intent(self, kind: Kind, trade: Trade, created: int) -> tuple[str, dict[str, Any]]:
        part = kind if kind in ("part_paid", "rest_paid") else ""
        due = {"part_paid": trade.refunded, "rest_paid": trade.amount - trade.refunded}
        amount = _minor(due.get(kind, trade.amount), trade.currency)
        intent = {
            **self._common(trade, created, amount),
            "id": _id("pi_", f"intent{part}", trade),
            "object": "payment_intent",
            "amount_capturable": 0,
            "capture_method": "automatic_async",
            "confirmation_method": "automatic",
            "latest_charge": _id("ch_", f"charge{part}", trade),
            "payment_method_types": ["card", "link"],
        }
        if kind != "closed":
            paid = {"amount_received": amount, "status": "succeeded"}
            return "payment_intent.succeeded", {**intent, **paid}
        return "payment_intent.canceled", {
            **intent,
            "amount_received": 0,
            "canceled_at": created,
            "cancellation_reason": "abandoned",
            "latest_charge": None,
            "status": "canceled",
        }

    def _charge(self, trade: Trade, created: int, *, is_whole: bool) -> dict[str, Any]:
        amount = _minor(trade.amount, trade.currency)
        returned = trade.amount if is_whole else trade.refunded
        return {
            **self._common(trade, created, amount),
            "id": _id("ch_", "charge", trade),
            "object": "charge",
            "amount_captured": amount,
            "amount_refunded": _minor(returned, trade.currency),
            "captured": True,
            "paid": True,
            "payment_intent": _id("pi_", "intent", trade),
            "refunded": is_whole,
            "status": "succeeded",
        }

    def _common(self, trade: Trade, created: int, amount: int) -> dict[str, Any]:
        return {
            "amount": amount,
            "created": created,
            "currency": trade.currency.lower(),
            "customer": None,
            "description": None,
            "livemode": self._is_live,
            "metadata": {self._order_no_key: trade.order_no},
            "payment_method": _id("pm_", "card", trade),
            "shipping": None,
        }


def _signed(body: bytes, secret: str, at: datetime) -> Posted:
    stamp = str(int(at.timestamp()))
    signature = hmac.digest(secret.encode(), stamp.encode() + b"." + body, "sha256").hex()
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": f"t={stamp},v1={signature}",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }
    return Posted(headers, body)


def _id(prefix: str, what: str, trade: Trade) -> str:
    """Make an id as Stripe does, the same for the same input."""
    return prefix + hashlib.sha256(f"{what} {trade.serial}".encode()).hexdigest()[:24]


def _minor(amount: Decimal, currency: str) -> int:
    digits = 0 if currency in _WHOLE else 3 if currency in _THOUSANDTHS else 2
    value = amount.scaleb(digits)
    if value != int(value):
        raise ValueError(f"Stripe has no {amount} {currency}")
    return int(value)
