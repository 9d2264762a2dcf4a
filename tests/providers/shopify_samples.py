"""A Shopify shop and its messages."""

import base64
import hashlib
import hmac
import json
from typing import Any

from gateway.providers import contract, shopify

from .support import account, message

SECRET, NEXT_SECRET = "shpss_0123456789abcdef0123456789abcdef", "hush-0123456789abcdef"
SHOP = "example.myshopify.com"
ADAPTER = shopify.adapter(account(SECRET, shop=SHOP))

LINE: dict[str, Any] = {
    "id": 1, "variant_id": 808950810, "product_id": 632910392, "sku": "IPOD-1", "quantity": 3,
    "name": "IPod - pink", "title": "IPod", "price": "10.00",
    "discount_allocations": [{"amount": "3.00"}], "tax_lines": [{"price": "5.13"}],
}  # fmt: skip
ADDRESS: dict[str, Any] = {
    "first_name": "Erika", "last_name": "Mustermann", "name": "Erika Mustermann",
    "address1": "Heidestr. 17", "address2": "2. Stock", "city": "Köln", "province": None,
    "zip": "51147", "country_code": "DE", "phone": "+49 221 1234567",
}  # fmt: skip
ORDER_ID = 9_007_199_254_740_993
#: 32.13 for the line, 5.95 for shipping.
ORDER: dict[str, Any] = {
    "id": ORDER_ID, "name": "#1001", "created_at": "2026-11-23T11:00:00+01:00",
    "updated_at": "2026-11-23T12:00:00+01:00", "cancelled_at": None, "currency": "EUR",
    "total_price": "38.08", "taxes_included": False, "total_tip_received": "0.00",
    "financial_status": "paid", "fulfillment_status": None, "test": False, "note": "ring twice",
    "customer": {"id": 207119551}, "billing_address": ADDRESS, "shipping_address": ADDRESS,
    "line_items": [LINE],
    "shipping_lines": [{"price": "5.00", "tax_lines": [{"price": "0.95"}]}],
    "refunds": [], "fulfillments": [],
}  # fmt: skip
REFUND: dict[str, Any] = {
    "id": 509562969, "order_id": ORDER_ID, "created_at": "2026-11-23T13:00:00+01:00",
    "transactions": [
        {"kind": "refund", "status": "success", "amount": "5.00", "currency": "EUR"},
        {"kind": "refund", "status": "success", "amount": "1.00", "currency": "EUR"},
        {"kind": "refund", "status": "failure", "amount": "9.00", "currency": "EUR"},
    ],
}  # fmt: skip


def posted(content: Any, *, secret: str = SECRET, shop: str = SHOP) -> contract.Message:
    """Post what ``json`` makes of it, signed."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    signature = base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
    headers = {"X-Shopify-Hmac-Sha256": signature, "X-Shopify-Shop-Domain": shop}
    return message(body, headers)


def changed(**changes: Any) -> contract.Message:
    """Post the order with some of it changed."""
    return posted(ORDER | changes)
