"""A shop tells the whole order with whatever happens to it: what changed is one event, once."""

import base64
import copy
import hashlib
import hmac
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

from gateway.runtime import settings as configuration
from tests.providers import woocommerce_samples as samples
from tests.support.site import Site
from tests.web.support import order_bytes

Ledger: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

PATH = "/v1/callbacks/woocommerce/shop"


@pytest.fixture
def accounts(tmp_path: Path) -> list[configuration.Account]:
    (tmp_path / "secret").write_text(samples.SECRET, "utf-8")
    secrets = [f"file:{tmp_path / 'secret'}"]
    options = {"country": "DE"}
    return [configuration.Account("woocommerce", "shop", ["web"], secrets, options)]


class Shop:
    """A WooCommerce shop with one order, which its owner and the shop itself change."""

    def __init__(self, site: Site, number: str) -> None:
        self._site = site
        self.order_no = number
        self.order: dict[str, Any] = copy.deepcopy(samples.ORDER) | {
            "id": int(hashlib.md5(number.encode()).hexdigest()[:8], 16),
            "number": number,
            "status": "pending",
            "date_paid_gmt": None,
            "transaction_id": "",
            "customer_id": int(number[:7], 16),
        }
        # A buyer of its own: the tests of this module share a database.
        self._address = samples.ADDRESS | {"phone": f"+49221{int(number[:7], 16):09d}"}
        self.move("Heidestr. 17")
        self._messages = 0

    def move(self, street: str) -> dict[str, Any]:
        """Give the order another address; return what has changed."""
        address = self._address | {"address_1": street}
        email = f"{self.order_no}@example.com"
        changes = {"billing": {**address, "email": email}, "shipping": address}
        self.order |= changes
        return changes

    async def tell(self, **changes: Any) -> None:
        """Post the order with these changes, which stay; every message is another."""
        self._messages += 1
        self.order |= changes
        self.order["date_modified_gmt"] = f"2026-11-23T11:{self._messages:02d}:00"
        await self.repeat()

    async def repeat(self) -> None:
        body = json.dumps(self.order).encode()
        signature = base64.b64encode(hmac.digest(samples.SECRET.encode(), body, hashlib.sha256))
        headers = {
            "X-WC-Webhook-Signature": signature.decode(),
            "X-WC-Webhook-Topic": "order.updated",
            "Content-Type": "application/json",
        }
        async with self._site.client.post(PATH, data=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()

    async def price(self, total: str) -> None:
        """The owner changes the price of the line: the shop tells the new total."""
        line, less = dict(samples.LINE), Decimal("39.46") - Decimal(total)
        line["subtotal"] = str(Decimal(line["subtotal"]) - less)
        line["total"] = str(Decimal(line["total"]) - less)
        await self.tell(line_items=[line], total=total)

    async def pay(self) -> None:
        await self.tell(
            status="processing", date_paid_gmt="2026-11-23T12:00:00", transaction_id="ch_1"
        )


@pytest.fixture
def shop(site: Site, request: pytest.FixtureRequest) -> Shop:
    return Shop(site, hashlib.md5(request.node.nodeid.encode()).hexdigest()[:12])


async def stored(ledger: Ledger, shop: Shop) -> tuple[Any, ...]:
    row = await ledger.fetchrow(
        "SELECT status, payable, paid, hold FROM orders WHERE order_no = $1", shop.order_no
    )
    assert row is not None
    return tuple(row)


async def parked(ledger: Ledger, shop: Shop) -> list[str]:
    found = await ledger.fetch(
        "SELECT p.reason FROM parked p JOIN orders o ON o.id = p.order_id WHERE o.order_no = $1",
        shop.order_no,
    )
    return [reason for (reason,) in found]


async def actions(ledger: Ledger, shop: Shop) -> list[str]:
    found = await ledger.fetch(
        "SELECT e.action || ' ' || e.outcome FROM order_events e JOIN orders o "
        "ON o.id = e.order_id WHERE o.order_no = $1 ORDER BY e.received_at, e.id",
        shop.order_no,
    )
    return [line for (line,) in found]


#: What a shop or its owner changes and the ledger does not take: each is shown to a person once.
CHANGES: dict[str, Callable[[Shop], dict[str, Any]]] = {
    "an account is made for the guest": lambda _: {"customer_id": 17},
    "a note": lambda _: {"customer_note": "ring three times"},
    "another address": lambda shop: shop.move("Domstr. 1"),
}


@pytest.mark.parametrize("change", list(CHANGES))
async def test_a_change_is_parked_once_whatever_is_told_after_it(
    shop: Shop, ledger: Ledger, change: str
) -> None:
    await shop.tell(customer_id=0)
    await shop.tell(**CHANGES[change](shop))
    await shop.repeat()
    # Three updates that have the changed order in them.
    await shop.pay()
    await shop.tell(meta_data=[{"key": "_printed", "value": "1"}])
    await shop.tell(status="completed", date_completed_gmt="2026-11-24T10:00:00")
    assert await parked(ledger, shop) == ["unmapped"]
    assert (await stored(ledger, shop))[0] == "completed"


async def test_two_changes_are_two(shop: Shop, ledger: Ledger) -> None:
    await shop.tell(customer_id=0)
    for _ in range(2):
        await shop.tell(customer_id=17)
    for _ in range(2):
        await shop.tell(customer_note="ring three times")
    assert await parked(ledger, shop) == ["unmapped"] * 2


async def test_what_is_taken_back_is_nothing_new(shop: Shop, ledger: Ledger) -> None:
    await shop.tell()
    await shop.tell(**shop.move("Domstr. 1"))
    await shop.tell(**shop.move("Heidestr. 17"))
    await shop.tell(**shop.move("Domstr. 1"))
    assert await parked(ledger, shop) == ["unmapped"]


async def test_an_unpaid_order_takes_a_new_price_and_its_payment(
    shop: Shop, ledger: Ledger
) -> None:
    await shop.tell()
    assert await stored(ledger, shop) == ("pending_payment", Decimal("39.46"), 0, None)
    await shop.price("34.46")
    assert await stored(ledger, shop) == ("pending_payment", Decimal("34.46"), 0, None)
    # What is told from now on is the order as it is stored.
    await shop.tell(meta_data=[])
    await shop.pay()
    assert await stored(ledger, shop) == ("paid", Decimal("34.46"), Decimal("34.46"), None)
    assert await parked(ledger, shop) == []
    lines = await actions(ledger, shop)
    assert lines.count("amended applied") == 1
    assert not [line for line in lines if line.endswith("parked")]


async def test_a_price_and_an_address_changed_in_one_message_are_two_changes(
    shop: Shop, ledger: Ledger
) -> None:
    """The order takes its price, and the address is not lost with it."""
    await shop.tell()
    shop.move("Domstr. 1")
    for _ in range(3):
        await shop.price("34.46")
    await shop.pay()
    assert (await stored(ledger, shop))[:3] == ("paid", Decimal("34.46"), Decimal("34.46"))
    assert await parked(ledger, shop) == ["unmapped"]


async def test_a_change_that_was_shown_is_not_shown_again_with_the_next(
    shop: Shop, ledger: Ledger
) -> None:
    await shop.tell()
    await shop.tell(**shop.move("Domstr. 1"))
    for price in ("34.46", "30.46", "39.46"):
        await shop.price(price)
    await shop.tell(customer_note="ring three times")
    found = await ledger.fetch(
        "SELECT p.detail FROM parked p JOIN orders o ON o.id = p.order_id WHERE o.order_no = $1 "
        "ORDER BY p.id",
        shop.order_no,
    )
    assert [detail for (detail,) in found] == [
        "recipient: not as the order is stored",
        "recipient, remark: not as the order is stored",
    ]


async def test_another_spelling_of_the_same_money_is_no_change(shop: Shop, ledger: Ledger) -> None:
    await shop.tell()
    line = samples.LINE | {"quantity": 3.0, "subtotal": "30.0", "total": "27.000"}
    await shop.tell(line_items=[line], total="39.460")
    assert await parked(ledger, shop) == []
    assert "amended applied" not in await actions(ledger, shop)


async def test_a_price_may_go_up_and_down_as_often_as_its_owner_likes(
    shop: Shop, ledger: Ledger
) -> None:
    await shop.tell()
    prices = ["34.46", "39.46", "34.46", "39.46", "30.46"]
    for price in prices:
        await shop.price(price)
        await shop.repeat()
        assert (await stored(ledger, shop))[1] == Decimal(price)
    await shop.pay()
    assert (await stored(ledger, shop))[:3] == ("paid", Decimal("30.46"), Decimal("30.46"))
    assert (await actions(ledger, shop)).count("amended applied") == len(prices)
    assert await parked(ledger, shop) == []


async def test_price_and_payment_in_one_message_are_that_price_and_paid(
    shop: Shop, ledger: Ledger
) -> None:
    """The shop's first word of the change may be the payment of it."""
    await shop.tell()
    shop.order |= {
        "status": "processing",
        "date_paid_gmt": "2026-11-23T12:00:00",
        "transaction_id": "ch_1",
    }
    await shop.price("34.46")
    assert await stored(ledger, shop) == ("paid", Decimal("34.46"), Decimal("34.46"), None)
    assert await parked(ledger, shop) == []


async def test_a_price_that_changes_after_the_payment_is_shown_once(
    shop: Shop, ledger: Ledger
) -> None:
    await shop.tell()
    await shop.pay()
    for _ in range(3):
        await shop.price("34.46")
    assert len(await parked(ledger, shop)) == 1
    assert (await stored(ledger, shop))[:3] == ("paid", Decimal("39.46"), Decimal("39.46"))


@pytest.mark.parametrize("key", ["order:{}", "{}", "amended {} 0", "callback:woocommerce:shop"])
async def test_a_key_of_a_storefront_is_never_in_the_way(
    shop: Shop, ledger: Ledger, site: Site, key: str
) -> None:
    status, answer = await site.submit(order_bytes(), Idempotency_Key=key.format(shop.order_no))
    assert status == 201, answer
    await shop.tell()
    await shop.price("34.46")
    await shop.pay()
    assert (await stored(ledger, shop))[:3] == ("paid", Decimal("34.46"), Decimal("34.46"))
    assert await parked(ledger, shop) == []


@pytest.mark.parametrize(
    "fault", [{"status": "packing"}, {"total": "39,46"}, {"line_items": [], "fee_lines": []}]
)
async def test_one_fault_is_parked_once_whatever_is_told_after_it(
    shop: Shop, ledger: Ledger, fault: dict[str, Any]
) -> None:
    before = await ledger.fetchval("SELECT count(*) FROM parked")
    await shop.tell(**fault)
    for n in range(2):
        await shop.tell(meta_data=[{"key": "_printed", "value": n}])
    assert await ledger.fetchval("SELECT count(*) FROM parked") == before + 1
