"""A WooCommerce shop and its messages."""

import base64
import hashlib
import hmac
import json
from typing import Any

from gateway.domain import orders, validation
from gateway.providers import contract, woocommerce

from .support import NOW, account, message

SECRET, NEXT_SECRET = "Zk!8sH#p2(Lr)9", "another&amp;secret"
ADAPTER = woocommerce.adapter(account(SECRET, country="DE"))

LINE: dict[str, Any] = {
    "id": 315, "name": "Woo Album", "product_id": 93, "variation_id": 0, "quantity": 3,
    "subtotal": "30.00", "subtotal_tax": "5.70", "total": "27.00", "total_tax": "5.13",
    "sku": "WA-1", "price": 9,
}  # fmt: skip
ADDRESS: dict[str, Any] = {
    "first_name": "Erika", "last_name": "Mustermann", "company": "", "address_1": "Heidestr. 17",
    "address_2": "2. Stock", "city": "Köln", "state": "DE-NW", "postcode": "51147",
    "country": "DE", "phone": "+49 221 1234567",
}  # fmt: skip
#: 32.13 for the lines, 5.95 for shipping, 2.38 for gift wrap, 1.00 off.
ORDER: dict[str, Any] = {
    "id": 727, "number": "1727", "status": "processing", "currency": "EUR", "total": "39.46",
    "date_created_gmt": "2026-11-23T10:00:00", "date_modified_gmt": "2026-11-23T11:00:00",
    "date_paid_gmt": "2026-11-23T10:30:00", "date_completed_gmt": None,
    "customer_id": 26, "customer_note": "ring twice", "transaction_id": "ch_1",
    "billing": {**ADDRESS, "email": "erika@example.com"}, "shipping": ADDRESS,
    "line_items": [LINE],
    "shipping_lines": [{"id": 1, "total": "5.00", "total_tax": "0.95"}],
    "fee_lines": [
        {"id": 2, "name": "Gift wrap", "total": "2.00", "total_tax": "0.38"},
        {"id": 3, "name": "Voucher", "total": "-1.00", "total_tax": "0.00"},
    ],
    "refunds": [],
}  # fmt: skip


def posted(content: Any, *, secret: str = SECRET) -> contract.Message:
    """Post what ``json`` makes of it, signed."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    signature = base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
    return message(
        body, {"X-WC-Webhook-Signature": signature, "X-WC-Webhook-Topic": "order.updated"}
    )


def changed(**changes: Any) -> contract.Message:
    """Post the order with some of it changed."""
    return posted(ORDER | changes)


def read_order(callback: contract.Message) -> tuple[Any, list[Any]]:
    """Return what is placed, and what happened to it."""
    placed, *happened = ADAPTER.read(callback).items
    return placed.event, [item.event for item in happened]


def placed(**changes: Any) -> orders.Submission:
    order, _ = read_order(changed(**changes))
    assert isinstance(order, orders.Submission), order
    validation.check(order, channels={"web"}, now=NOW, is_from_shop=True)
    return order
