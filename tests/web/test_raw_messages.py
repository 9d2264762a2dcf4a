"""What arrived is kept once where anything of it was new, over HTTP into the ledger."""

import itertools
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.runtime.settings import Account
from gateway.stores.postgres.messages import Messages
from tests.providers import adyen_samples, woocommerce_samples
from tests.support.site import Site
from tests.web import stories

ADYEN, SHOP = "/v1/callbacks/adyen/main", "/v1/callbacks/woocommerce/main"

#: The ledger is shared by the tests of this module.
_serial = itertools.count(1)


@pytest.fixture
def accounts(tmp_path: Path) -> list[Account]:
    secrets: dict[str, tuple[str, dict[str, Any]]] = {
        "adyen": (adyen_samples.SECRET, adyen_samples.OPTIONS),
        "woocommerce": (woocommerce_samples.SECRET, {"country": "DE"}),
    }
    for provider, (secret, _) in secrets.items():
        (tmp_path / provider).write_text(secret)
    return [
        Account(provider, "main", ["web"], [f"file:{tmp_path / provider}"], options)
        for provider, (_, options) in secrets.items()
    ]


class Kept:
    """The messages of the ledger, before and after."""

    def __init__(self, site: Site, ledger: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._ledger = ledger
        self._messages = Messages(
            pool=site.gateway.stores.primary, sealer=site.gateway.stores.sealer
        )

    async def count(self) -> int:
        found: int = await self._ledger.fetchval("SELECT count(*) FROM raw_messages")
        return found

    async def of(self, table: str, order_no: str) -> list[bytes | None]:
        """Return the message of each row of a table about an order, in their order."""
        found = await self._ledger.fetch(
            f"SELECT r.source, r.source_key FROM {table} r JOIN orders o ON o.id = r.order_id"
            " WHERE o.order_no = $1 AND r.source NOT LIKE 'refund:%' ORDER BY r.id",
            order_no,
        )
        return [await self._messages.find(*row) for row in found]


async def test_a_refund_of_a_known_payment_is_found_in_its_message(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """A shop tells the whole order each time: order and payment are repeats."""
    kept, number = Kept(site, ledger), 70_000 + next(_serial)
    named = {"id": number, "number": str(number)}
    first = woocommerce_samples.changed(**named)
    refund = {"id": 9, "reason": "too late", "total": "-5.00"}
    second = woocommerce_samples.changed(**named, refunds=[refund])
    before = await kept.count()
    for _ in range(2):
        await stories.post(site, SHOP, first)
    assert await kept.count() == before + 1
    for _ in range(2):
        await stories.post(site, SHOP, second)
    assert await kept.count() == before + 2
    assert await kept.of("order_events", str(number)) == [first.body, first.body, second.body]


async def test_what_a_batch_of_repeats_brings_is_kept_with_it(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    kept, serial = Kept(site, ledger), str(next(_serial))
    order_no = f"RAW-{serial}"
    await stories.place(site, order_no, "199.00", "EUR")
    paid = adyen_samples.PAYMENT | {"pspReference": f"P{serial}", "merchantReference": order_no}
    refund = adyen_samples.REFUND | {
        "pspReference": f"R{serial}", "originalReference": f"P{serial}",
        "merchantReference": order_no,
    }  # fmt: skip
    odd = refund | {"pspReference": f"X{serial}", "amount": {"currency": "USD", "value": 100}}
    alone, batch = adyen_samples.signed(paid), adyen_samples.signed(paid, refund, odd)
    await stories.post(site, ADYEN, alone)
    before = await kept.count()
    for _ in range(2):
        await stories.post(site, ADYEN, batch)
        await stories.post(site, ADYEN, adyen_samples.signed(refund, paid))
    assert await kept.count() == before + 1
    assert (await kept.of("order_events", order_no))[1:] == [alone.body, batch.body, batch.body]
    assert await kept.of("parked", order_no) == [batch.body]
