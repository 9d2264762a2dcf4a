"""Simulated WooCommerce: a shop that posts the complete order at each change.

Written from its REST documentation, not from the gateway. A repeat has the same body; only the
delivery id, which is not signed, is new.
"""

import base64
import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ops.simulators.contract import Account, Forgery, Kind, Posted, Simulator, Trade

KINDS: frozenset[Kind] = frozenset(
    {"placed", "paid", "partial_refund", "refund", "closed", "delivered", "ping"}
)
#: Neither the send time nor the shop is signed: only the key identifies it.
FORGERIES: frozenset[Forgery] = frozenset({"foreign_key", "changed", "unsigned"})
CURRENCIES = ("EUR", "JPY", "KWD")

_DECIMALS = {"JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3}
_STATUS: dict[Kind, str] = {
    "placed": "pending",
    "paid": "processing",
    "partial_refund": "processing",
    "refund": "refunded",
    "closed": "cancelled",
    "delivered": "completed",
}


def create() -> Account:
    """Make a webhook with a secret like those of WooCommerce."""
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!@#$%^*()"
    secret = "".join(secrets.choice(alphabet) for _ in range(50))
    return Account(secrets=(secret,), options={"country": "DE"}, private={})


def simulator(account: Account) -> Simulator:
    """Return the simulated shop of a webhook."""
    return _Shop(account)


def transaction_no(trade: Trade) -> str:
    """Return the order number: the gateway books the payment under it."""
    return trade.order_no


class _Shop:
    def __init__(self, account: Account) -> None:
        self._key = account.secrets[0].encode()

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        if kind == "ping":
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return Posted(headers, b"webhook_id=7")
        return self._posted(_order(kind, trade, at), self._key, f"{kind}{attempt}")

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        order = _order(kind, trade, at)
        if how == "foreign_key":
            return self._posted(order, self._key + b"x", how)
        posted = self._posted(order, self._key, how)
        if how == "changed":
            order["date_paid_gmt"] = order["date_modified_gmt"]
            order["status"] = "completed"
            return Posted(posted.headers, _body(order))
        if how == "unsigned":
            name = "X-WC-Webhook-Signature"
            return Posted({k: v for k, v in posted.headers.items() if k != name}, posted.body)
        raise ValueError(f"WooCommerce cannot be forged as {how}")

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        """Require a status that WooCommerce counts as delivered."""
        return 200 <= status <= 302

    def _posted(self, order: dict[str, Any], key: bytes, delivery: str) -> Posted:
        body = _body(order)
        topic = "order.created" if order["status"] == "pending" else "order.updated"
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "WooCommerce/10.3.4 Hookshot (WordPress/6.8.3)",
            "X-WC-Webhook-Source": "https://shop.example/",
            "X-WC-Webhook-Topic": topic,
            "X-WC-Webhook-Resource": "order",
            "X-WC-Webhook-Event": topic.removeprefix("order."),
            "X-WC-Webhook-Signature": base64.b64encode(hmac.digest(key, body, "sha256")).decode(),
            "X-WC-Webhook-ID": "7",
            "X-WC-Webhook-Delivery-ID": hashlib.sha256(delivery.encode()).hexdigest()[:32],
        }
        return Posted(headers, body)


def _body(order: dict[str, Any]) -> bytes:
    # As PHP encodes it: slashes escaped, everything beyond ASCII as \u.
    return json.dumps(order, separators=(",", ":")).replace("/", "\\/").encode()


def _number(what: str, trade: Trade) -> int:
    """Return a number that is the same for the same input."""
    digest = hashlib.sha256(f"{what} {trade.serial}".encode()).digest()
    return int.from_bytes(digest[:5]) + 1


def _order(kind: Kind, trade: Trade, at: datetime) -> dict[str, Any]:
    if kind not in _STATUS:
        raise ValueError(f"WooCommerce sends no message {kind}")
    unit = Decimal(1).scaleb(-_DECIMALS.get(trade.currency, 2))
    amount = trade.amount.quantize(unit)
    if amount != trade.amount:
        raise ValueError(f"there is no {trade.amount} {trade.currency}")
    tax = (amount * 19 / 119).quantize(unit)
    net, coupon = amount - tax, 2 * unit
    is_paid = kind not in ("placed", "closed")
    now = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    # What the shop knows of the order itself does not change with what happens to it.
    created = "2026-11-20T08:15:30"
    refunds = []
    if kind in ("partial_refund", "refund"):
        refunds.append(_refund("first", trade, trade.refunded))
    if kind == "refund":
        refunds.append(_refund("second", trade, trade.amount - trade.refunded))
    address = {
        "first_name": "Erika",
        "last_name": "Mustermann",
        "company": "",
        "address_1": "Heidestraße 17",
        "address_2": "",
        "city": "Köln",
        "state": "DE-NW",
        "postcode": "51147",
        "country": "DE",
        "phone": "+49 221 1234567",
    }
    return {
        "id": _number("order", trade),
        "parent_id": 0,
        "status": _STATUS[kind],
        "currency": trade.currency,
        "version": "10.3.4",
        "prices_include_tax": True,
        "date_created_gmt": created,
        "date_modified_gmt": now,
        "discount_total": str(coupon),
        "discount_tax": str(0 * unit),
        "shipping_total": str(0 * unit),
        "shipping_tax": str(0 * unit),
        "cart_tax": str(tax),
        "total": str(amount),
        "total_tax": str(tax),
        "customer_id": _number("customer", trade),
        "order_key": f"wc_order_{trade.serial}",
        "billing": {**address, "email": "erika@example.com"},
        "shipping": address,
        "payment_method": "stripe",
        "payment_method_title": "Card",
        "transaction_id": f"ch_{trade.serial}" if is_paid else "",
        "customer_note": "",
        "date_paid_gmt": created if is_paid else None,
        "date_completed_gmt": now if kind == "delivered" else None,
        "number": trade.order_no,
        "meta_data": [],
        "line_items": [
            {
                "id": 1,
                "name": "Tea",
                "product_id": 93,
                "variation_id": 0,
                "quantity": 3,
                "tax_class": "",
                "subtotal": str(net + coupon),
                "subtotal_tax": str(tax),
                "total": str(net),
                "total_tax": str(tax),
                "sku": "TEA-1",
                "price": float(net / 3),
            }
        ],
        "tax_lines": [{"id": 2, "rate_code": "DE-VAT-1", "tax_total": str(tax)}],
        "shipping_lines": [],
        "fee_lines": [],
        "coupon_lines": [{"id": 3, "code": "welcome", "discount": str(coupon)}],
        "refunds": refunds,
        "set_paid": False,
    }


def _refund(which: str, trade: Trade, amount: Decimal) -> dict[str, Any]:
    return {"id": _number(which, trade), "reason": "", "total": str(-amount)}
