"""Messages of shops: whole orders, far larger than a payment's."""

import base64
import hashlib
import hmac
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.providers import contract, registry
from gateway.runtime import settings as configuration
from tests.providers import woocommerce_samples as samples
from tests.support.site import Site

PATH = "/v1/callbacks/woocommerce/shop"


@pytest.fixture
def accounts(tmp_path: Path) -> list[configuration.Account]:
    (tmp_path / "secret").write_text(samples.SECRET, "utf-8")
    secrets = [f"file:{tmp_path / 'secret'}"]
    options = {"country": "DE"}
    return [configuration.Account("woocommerce", "shop", ["web"], secrets, options)]


async def post(site: Site, order: dict[str, Any]) -> tuple[int, int]:
    """Post the order, signed; return the status and the length of the body."""
    body = json.dumps(order).encode()
    signature = base64.b64encode(hmac.digest(samples.SECRET.encode(), body, hashlib.sha256))
    headers = {
        "X-WC-Webhook-Signature": signature.decode(),
        "X-WC-Webhook-Topic": "order.updated",
        "Content-Type": "application/json",
    }
    async with site.client.post(PATH, data=body, headers=headers) as answer:
        return answer.status, len(body)


def order_of(lines: int, *, notes: int) -> dict[str, Any]:
    """Return an order of so many lines, each with ``notes`` bytes of what plug-ins add to it."""
    line = samples.LINE | {"quantity": 1, "subtotal": "1.00", "subtotal_tax": "0.00"}
    line |= {"total": "1.00", "total_tax": "0.00", "price": 1}
    added = [{"id": 1, "key": "_plugin", "value": "n" * notes}]
    items = [
        line | {"id": number, "sku": f"S-{number}", "meta_data": added} for number in range(lines)
    ]
    changes = {"line_items": items, "shipping_lines": [], "fee_lines": [], "total": f"{lines}.00"}
    return samples.ORDER | changes | {"id": lines, "number": f"N-{lines}"}


@pytest.mark.parametrize(("lines", "notes"), [(20, 3_400), (60, 900), (200, 5_000)])
async def test_an_order_of_many_lines_is_taken(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", lines: int, notes: int
) -> None:
    """An order of 20 lines was seen with 72 KB; refused, a shop switches its webhook off."""
    status, sent_bytes = await post(site, order_of(lines, notes=notes))
    assert (status, sent_bytes > 64 * 1024) == (200, True)
    found = "SELECT payable, jsonb_array_length(items) AS n FROM orders WHERE order_no = $1"
    row = await ledger.fetchrow(found, f"N-{lines}")
    assert row is not None
    assert (row["payable"], row["n"]) == (lines, lines)


def line(total: str, tax: str = "0", **changes: Any) -> dict[str, Any]:
    figures = {"total": total, "total_tax": tax, "subtotal": total, "subtotal_tax": tax}
    return samples.LINE | {"quantity": 1} | figures | changes


#: What shops send, and what is due and paid. Each was parked whole, its payment included.
ODD_ORDERS: dict[str, tuple[dict[str, Any], str]] = {
    "yen without decimals": (
        {"currency": "JPY", "total": "100", "line_items": [line("92.59", "7.41")]}, "100",
    ),
    "four decimals": ({"total": "30.00", "line_items": [line("25.2101", "4.7899")]}, "30"),
    "a total of four decimals": ({"total": "30.0050", "line_items": [line("30.0050")]}, "30.01"),
    "a gift card": ({"total": "20.00", "line_items": [line("30.00")]}, "20"),
    "a free order": ({"total": "0.00", "line_items": [line("0.00")]}, "0"),
    "a whole float": ({"total": "9.00", "line_items": [line("9.00", quantity=2.0)]}, "9"),
    "half a piece": ({"total": "9.00", "line_items": [line("9.00", quantity=0.5)]}, "9"),
    "no product": ({"total": "9.00", "line_items": [line("9.00", product_id=None)]}, "9"),
    "no tax": ({"total": "9.00", "line_items": [line("9.00", subtotal_tax="")]}, "9"),
    "no customer": ({"total": "9.00", "line_items": [line("9.00")], "customer_id": None}, "9"),
    "dated ahead": (
        {"total": "9.00", "line_items": [line("9.00")], "date_created_gmt": "2090-01-01T00:00:00"},
        "9",
    ),
    "odd characters": (
        {
            "total": "9.00",
            "line_items": [line("9.00", name="T\u0000ea\u001b", sku="S\u0001-1")],
            "shipping": samples.ADDRESS | {"first_name": "Li\u0007", "phone": "ring at 17"},
        },
        "9",
    ),
    "a note that is far too long": (
        {"total": "9.00", "line_items": [line("9.00")], "customer_note": "n" * 100_000}, "9",
    ),
    "no address": (
        {"total": "9.00", "line_items": [line("9.00")], "billing": [], "shipping": []}, "9",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_ORDERS)
async def test_no_odd_figure_costs_an_order_or_its_payment(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", name: str
) -> None:
    changes, due = ODD_ORDERS[name]
    number = 9_000 + list(ODD_ORDERS).index(name)
    plain = {"id": number, "number": str(number), "shipping_lines": [], "fee_lines": []}
    status, _ = await post(site, samples.ORDER | plain | changes)
    assert status == 200
    found = "SELECT id, status, payable, paid FROM orders WHERE order_no = $1"
    row = await ledger.fetchrow(found, str(number))
    assert row is not None
    assert (row["status"], row["payable"], row["paid"]) == ("paid", Decimal(due), Decimal(due))
    parked = await ledger.fetch("SELECT detail FROM parked WHERE order_id = $1", row["id"])
    assert parked == []


def test_every_shop_may_send_large_orders() -> None:
    """A provider that places orders is a shop; of the others the general limit holds."""
    larger = {name for name, each in registry.PROVIDERS.items() if each.body_bytes_max}
    assert larger == {"shopify", "woocommerce", "youzan", "doudian"}
    assert contract.SHOP_BODY_BYTES_MAX >= 1024 * 1024
