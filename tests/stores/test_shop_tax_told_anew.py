"""Orders that were stored before their tax had a field of its own, told again by their shops."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from gateway.domain import events, orders
from gateway.domain.channels import ChannelPolicy
from gateway.intake import shop_message
from gateway.providers import contract
from gateway.wiring import Gateway
from tests.providers import shopify_samples as shopify
from tests.providers import woocommerce_samples as woocommerce
from tests.stores.support import Database, counts, rows

#: What a shop tells with its tax on top, and with prices that contain it.
TOLD: dict[str, tuple[contract.Message, contract.Message]] = {
    "woocommerce": (
        woocommerce.changed(),
        woocommerce.changed(prices_include_tax=True),
    ),
    "shopify": (
        shopify.changed(),
        shopify.changed(taxes_included=True, total_price="32.00"),
    ),
}
ADAPTERS = {"woocommerce": woocommerce.ADAPTER, "shopify": shopify.ADAPTER}


def read(provider: str, message: contract.Message) -> list[tuple[str, Any]]:
    return [(item.key, item.event) for item in ADAPTERS[provider].read(message).items]


def without_tax(order: orders.Submission) -> orders.Submission:
    """Return an order as it was stored before: its tax in its prices, and in no field."""
    on_top = Decimal(0) if order.amounts.tax_included else order.amounts.tax or Decimal(0)
    shares = [Decimal(0) if order.amounts.tax_included else each.tax or Decimal(0)
              for each in order.items]  # fmt: skip
    items = [
        # Of one piece each, so that nothing has to be rounded.
        replace(item, quantity=1, unit_price=item.unit_price * item.quantity + share, tax=UNSET)
        for item, share in zip(order.items, shares, strict=True)
    ]
    amounts = replace(
        order.amounts,
        goods=order.amounts.goods + sum(shares),
        freight=order.amounts.freight + on_top - sum(shares),
        tax=UNSET,
        tax_included=UNSET,
    )
    return replace(order, items=items, amounts=amounts)


async def deliver(gateway: Gateway, items: list[tuple[str, Any]], body: bytes) -> None:
    message = shop_message.ShopMessage(
        source="shop:main",
        provider="shop",
        policies={"web": ChannelPolicy()},
        trigger="callback:shop:main",
        items=items,
        body=body,
        received_at=datetime.now(UTC),
    )
    await shop_message.accept(message, intake=gateway.intake, new_id=gateway.new_id)


@pytest.mark.parametrize("is_included", [False, True])
@pytest.mark.parametrize("is_paid", [False, True])
@pytest.mark.parametrize("provider", list(TOLD))
async def test_a_tax_that_gets_its_field_amends_and_parks_nothing(
    gateway: Gateway, ledger: Database, provider: str, is_paid: bool, is_included: bool
) -> None:
    (key, now), *happened = read(provider, TOLD[provider][is_included])
    assert isinstance(now, orders.Submission)
    paid = [each for each in happened if isinstance(each[1], events.PaymentSucceeded)]
    before = [("before", without_tax(now)), *(paid if is_paid else [])]
    await deliver(gateway, before, b"before")
    for n in range(3):
        await deliver(gateway, [(f"{key}:{n}", now), *paid], b"again %d" % n)
    ((status, payable, tax, contains, freight),) = await rows(
        ledger, "orders", "status", "payable", "tax", "tax_included", "freight"
    )
    assert (status, payable, tax) == ("paid", now.amounts.payable, now.amounts.tax)
    assert (contains, freight) == (is_included, now.amounts.freight)
    found = await counts(ledger)
    assert (found["orders"], found["payments"], found["parked"]) == (1, 1, 0)
