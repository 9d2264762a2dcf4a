"""Simulated Stripe: snapshot events of a webhook endpoint, signed again for each delivery.

Written from Stripe's documentation, not from the gateway: amounts in its smallest unit, refunds as
the total of the charge so far, the signature over ``t``, a full stop and the body.
"""

import hashlib
import hmac
import json
import secrets
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ops.simulators.contract import Account, Forgery, Kind, Posted, Simulator, Trade

KINDS: frozenset[Kind] = frozenset({"paid", "partial_refund", "refund", "closed"})
FORGERIES: frozenset[Forgery] = frozenset(
    {"foreign_key", "changed", "unsigned", "stale", "not_ours"}
)
CURRENCIES = ("EUR", "JPY", "KWD", "ISK")

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
        amount = _minor(trade.amount, trade.currency)
        common = {
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
        intent = {
            "id": _id("pi_", "intent", trade),
            "object": "payment_intent",
            "amount_capturable": 0,
            "capture_method": "automatic_async",
            "confirmation_method": "automatic",
            "latest_charge": _id("ch_", "charge", trade),
            "payment_method_types": ["card", "link"],
            **common,
        }
        if kind == "paid":
            return "payment_intent.succeeded", {
                **intent,
                "amount_received": amount,
                "status": "succeeded",
            }
        if kind == "closed":
            return "payment_intent.canceled", {
                **intent,
                "amount_received": 0,
                "canceled_at": created,
                "cancellation_reason": "abandoned",
                "latest_charge": None,
                "status": "canceled",
            }
        if kind in ("partial_refund", "refund"):
            is_whole = kind == "refund"
            returned = trade.amount if is_whole else trade.refunded
            return "charge.refunded", {
                "id": _id("ch_", "charge", trade),
                "object": "charge",
                "amount_captured": amount,
                "amount_refunded": _minor(returned, trade.currency),
                "captured": True,
                "paid": True,
                "payment_intent": _id("pi_", "intent", trade),
                "refunded": is_whole,
                "status": "succeeded",
                **common,
            }
        raise ValueError(f"Stripe sends no message {kind}")


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
