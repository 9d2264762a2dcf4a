"""Simulated Shopify: one shop's order webhooks, signed with the app's client secret.

Written from Shopify's documentation, not from the gateway. A repeat is the same body under the
same webhook id.
"""

import base64
import hashlib
import hmac
import json
import secrets
import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ops.simulators.contract import Account, Forgery, Kind, Posted, Simulator, Trade

KINDS: frozenset[Kind] = frozenset(
    {
        "placed", "paid", "partial_refund", "refund_failed", "refund", "closed", "shipped",
        "delivered", "dispute_opened", "dispute_won", "dispute_lost",
    }
)  # fmt: skip
#: No send time is signed, so no message can be stale.
FORGERIES: frozenset[Forgery] = frozenset({"foreign_key", "changed", "unsigned", "not_ours"})
CURRENCIES = ("EUR", "JPY", "KWD")

_DECIMALS = {"JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3}
_IDS = uuid.UUID("d1b3d0d5-8a0d-4f13-9a0b-8d2c36c4fb14")
#: When a dispute was opened that is decided now.
_BEFORE = "2026-11-20T09:15:30+01:00"
_TOPICS: dict[Kind, tuple[str, str]] = {
    "placed": ("orders/create", "pending"),
    "paid": ("orders/paid", "paid"),
    "partial_refund": ("orders/updated", "partially_refunded"),
    "refund_failed": ("orders/updated", "paid"),
    "refund": ("orders/updated", "refunded"),
    "closed": ("orders/cancelled", "voided"),
    "shipped": ("orders/fulfilled", "paid"),
    "delivered": ("fulfillments/update", "success"),
    "dispute_opened": ("disputes/create", "needs_response"),
    "dispute_won": ("disputes/update", "won"),
    "dispute_lost": ("disputes/update", "lost"),
}


def create() -> Account:
    """Make a shop with its own app."""
    shop = f"simulated-{secrets.randbelow(10**6):06}.myshopify.com"
    return Account(secrets=(secrets.token_hex(16),), options={"shop": shop}, private={})


def simulator(account: Account) -> Simulator:
    """Return the simulated Shopify of one shop."""
    return _Shop(account)


def transaction_no(trade: Trade) -> str:
    """Return the number of the payment that the gateway books for this trade."""
    return str(_number("order", trade))


class _Shop:
    def __init__(self, account: Account) -> None:
        self._key = account.secrets[0].encode()
        self._shop = str(account.options["shop"])

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        return self._posted(kind, trade, at, _content(kind, trade, at), self._key)

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        content = _content(kind, trade, at)
        key = self._key + b"x" if how == "foreign_key" else self._key
        posted = self._posted(kind, trade, at, content, key)
        if how == "changed":
            content["note"] = "to another address"
            return Posted(posted.headers, _body(content))
        if how == "unsigned":
            name = "X-Shopify-Hmac-Sha256"
            return Posted({k: v for k, v in posted.headers.items() if k != name}, posted.body)
        if how == "not_ours":
            # A genuine message: the same app, installed in another shop.
            headers = {**posted.headers, "X-Shopify-Shop-Domain": "another-shop.myshopify.com"}
            return Posted(headers, posted.body)
        return posted

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        """Require any 2xx."""
        return 200 <= status < 300

    def _posted(
        self, kind: Kind, trade: Trade, at: datetime, content: dict[str, Any], key: bytes
    ) -> Posted:
        body = _body(content)
        headers = {
            "Content-Type": "application/json",
            "X-Shopify-Topic": _TOPICS[kind][0],
            "X-Shopify-Hmac-Sha256": base64.b64encode(hmac.digest(key, body, "sha256")).decode(),
            "X-Shopify-Shop-Domain": self._shop,
            "X-Shopify-API-Version": "2026-10",
            "X-Shopify-Webhook-Id": str(uuid.uuid5(_IDS, f"{kind} {trade.serial}")),
            "X-Shopify-Event-Id": str(uuid.uuid5(_IDS, f"event {trade.serial}")),
            "X-Shopify-Triggered-At": at.isoformat(),
        }
        return Posted(headers, body)


def _body(content: dict[str, Any]) -> bytes:
    # As Shopify encodes it: slashes escaped, non-ASCII characters not escaped.
    return (
        json.dumps(content, separators=(",", ":"), ensure_ascii=False).replace("/", "\\/").encode()
    )


def _number(what: str, trade: Trade) -> int:
    """Make a number beyond 2^53 that is the same for the same input."""
    digest = hashlib.sha256(f"{what} {trade.serial}".encode()).digest()
    return (1 << 53) + int.from_bytes(digest[:6])


def _content(kind: Kind, trade: Trade, at: datetime) -> dict[str, Any]:
    if kind not in _TOPICS:
        raise ValueError(f"Shopify sends no message {kind}")
    if kind == "delivered":
        return {**_parcel(trade, at), "shipment_status": "delivered"}
    if kind in ("dispute_opened", "dispute_won", "dispute_lost"):
        return _dispute(kind, trade, at)
    first = _refund("first", trade, trade.refunded, at)
    second = _refund("second", trade, trade.amount - trade.refunded, at)
    refunds = {"partial_refund": [first], "refund": [first, second]}
    if kind == "refund_failed":
        first["transactions"][0]["status"] = "failure"
        refunds[kind] = [first]
    return _order(kind, trade, at, refunds.get(kind, []))


def _dispute(kind: Kind, trade: Trade, at: datetime) -> dict[str, Any]:
    is_open = kind == "dispute_opened"
    return {
        "id": _number("dispute", trade),
        "order_id": _number("order", trade),
        "type": "chargeback",
        "amount": str(trade.amount),
        "currency": trade.currency,
        "reason": "fraudulent",
        "network_reason_code": "4837",
        "status": _TOPICS[kind][1],
        "evidence_due_by": (at + timedelta(days=14)).isoformat(),
        "evidence_sent_on": None,
        "finalized_on": None if is_open else at.isoformat(),
        "initiated_at": at.isoformat() if is_open else _BEFORE,
    }


def _parcel(trade: Trade, at: datetime) -> dict[str, Any]:
    return {
        "id": _number("parcel", trade),
        "order_id": _number("order", trade),
        "name": f"{trade.order_no}.1",
        "status": "success",
        "shipment_status": None,
        "tracking_company": "DHL Express",
        "tracking_number": f"JD{trade.serial}",
        "tracking_numbers": [f"JD{trade.serial}"],
        "created_at": at.isoformat(),
        "updated_at": at.isoformat(),
        "line_items": [{"id": 1, "sku": "TEA-1", "quantity": 3}],
    }


def _refund(which: str, trade: Trade, amount: Decimal, at: datetime) -> dict[str, Any]:
    return {
        "id": _number(which, trade),
        "order_id": _number("order", trade),
        "created_at": at.isoformat(),
        "note": "",
        "restock": False,
        "transactions": [
            {
                "id": _number(f"{which} transaction", trade),
                "order_id": _number("order", trade),
                "kind": "refund",
                "gateway": "shopify_payments",
                "status": "success",
                "amount": str(amount),
                "currency": trade.currency,
                "parent_id": _number("sale", trade),
            }
        ],
        "refund_line_items": [],
        "order_adjustments": [],
    }


def _order(kind: Kind, trade: Trade, at: datetime, refunds: list[dict[str, Any]]) -> dict[str, Any]:
    unit = Decimal(1).scaleb(-_DECIMALS.get(trade.currency, 2))
    amount = trade.amount.quantize(unit)
    if amount != trade.amount:
        raise ValueError(f"there is no {trade.amount} {trade.currency}")
    shipping, coupon = 5 * unit, 2 * unit
    tax = (amount * 19 / 119).quantize(unit)
    pieces = 3
    # Unit price before tax and coupon: the remainder is a second line.
    net = amount - shipping - tax
    price = ((net + coupon) / pieces).quantize(unit, "ROUND_FLOOR")
    rest = net + coupon - price * pieces
    address = {
        "first_name": "Erika",
        "last_name": "Mustermann",
        "name": "Erika Mustermann",
        "company": None,
        "address1": "Heidestraße 17",
        "address2": None,
        "city": "Köln",
        "province": None,
        "zip": "51147",
        "country": "Germany",
        "country_code": "DE",
        "phone": "+49 221 1234567",
    }
    line = {"variant_id": _number("variant", trade), "taxable": True, "gift_card": False}
    return {
        "id": _number("order", trade),
        "admin_graphql_api_id": f"gid://shopify/Order/{_number('order', trade)}",
        "name": trade.order_no,
        "order_number": 1001,
        "created_at": "2026-11-20T09:15:30+01:00",
        "updated_at": at.isoformat(),
        "cancelled_at": at.isoformat() if kind == "closed" else None,
        "currency": trade.currency,
        "presentment_currency": trade.currency,
        "taxes_included": False,
        "total_price": str(amount),
        "current_total_price": str(
            amount - sum(Decimal(r["transactions"][0]["amount"]) for r in refunds)
        ),
        "total_tax": str(tax),
        "total_discounts": str(coupon),
        "total_tip_received": "0.00",
        "financial_status": _TOPICS[kind][1],
        "fulfillment_status": "fulfilled" if kind == "shipped" else None,
        "test": False,
        "note": None,
        "customer": {"id": _number("customer", trade), "email": "erika@example.com"},
        "billing_address": address,
        "shipping_address": address,
        "line_items": [
            {
                **line,
                "id": 1,
                "sku": "TEA-1",
                "name": "Tea - green",
                "title": "Tea",
                "quantity": pieces,
                "price": str(price),
                "discount_allocations": [{"amount": str(coupon)}],
                "tax_lines": [{"title": "VAT", "rate": 0.19, "price": str(tax)}],
            },
            {
                **line,
                "id": 2,
                "sku": "",
                "name": "Sample",
                "title": "Sample",
                "quantity": 1,
                "price": str(rest),
                "discount_allocations": [],
                "tax_lines": [],
            },
        ],
        "shipping_lines": [{"id": 3, "title": "Standard", "price": str(shipping), "tax_lines": []}],
        "refunds": refunds,
        "fulfillments": [_parcel(trade, at)] if kind == "shipped" else [],
    }
