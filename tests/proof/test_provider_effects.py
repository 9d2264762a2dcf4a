"""The messages of every provider, through real HTTP into the real ledger: each effect once.

The providers' side is `ops.simulators`; every provider with a simulator is tested.
"""

import itertools
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.domain import events
from gateway.runtime import settings as configuration
from ops.simulators.contract import Kind, Simulator, Trade
from tests.stores.support import tell
from tests.support import simulated
from tests.support.simulated import PROVIDERS
from tests.support.site import Site
from tests.web.support import order

MONEY: Sequence[Kind] = ("paid", "partial_refund", "refund")
PAID = [name for name, module in PROVIDERS.items() if module.KINDS.issuperset(MONEY)]
CASES = [(name, currency) for name in PAID for currency in PROVIDERS[name].CURRENCIES]
#: Whole units, cents, and thousandths: what the amounts below are rounded to.
DECIMALS = dict.fromkeys(["JPY", "KRW", "CLP", "ISK"], 0) | dict.fromkeys(["KWD", "BHD"], 3)
_NOTHING = ("freight", "shop_discount", "platform_subsidy")
_serial = itertools.count(1)


@pytest.fixture
def accounts(tmp_path: Path) -> list[configuration.Account]:
    return simulated.configured(tmp_path)


class Scenario:
    """One order, and the messages of one provider about it."""

    def __init__(self, site: Site, name: str, currency: str) -> None:
        self._site = site
        self._name = name
        self._kinds = PROVIDERS[name].KINDS
        self._simulator: Simulator = PROVIDERS[name].simulator(simulated.ACCOUNTS[name])
        step = Decimal(1).scaleb(-DECIMALS.get(currency, 2))
        n = next(_serial)
        self.trade = Trade(
            serial=f"{n:06d}",
            order_no=f"E{n:06d}",
            amount=199 + 5 * step,
            refunded=9 * step,
            currency=currency,
        )
        self._at = datetime.now(UTC) - timedelta(seconds=30)

    async def place(self) -> None:
        """Place the order: by the shop's own message, or a storefront's submission."""
        if "placed" in self._kinds:
            await self.post("placed")
            return
        due = str(self.trade.amount)
        item = {"sku": "TEA-1", "name": "Tea", "quantity": 1, "unit_price": due}
        submission = order(
            order_no=self.trade.order_no,
            channel="web",
            currency=self.trade.currency,
            items=[item],
            amounts={"goods": due, "payable": due} | dict.fromkeys(_NOTHING, "0"),
        )
        status, body = await self._site.submit(json.dumps(submission).encode())
        assert status in (200, 201), body

    async def post(self, kind: Kind, *, times: int = 2, after_s: int = 0) -> None:
        """Post a message ``times`` times, and check that each answer acknowledges it."""
        at = self._at + timedelta(seconds=after_s)
        for attempt in range(times):
            posted = self._simulator.message(kind, self.trade, at=at, attempt=attempt)
            path = f"/v1/callbacks/{self._name}/main"
            async with self._site.client.post(
                path, data=posted.body, headers=posted.headers
            ) as answer:
                body = await answer.read()
                response = answer.status, answer.headers.get("Content-Type", ""), body
            assert self._simulator.is_acknowledged(*response), (kind, attempt, response)

    async def stored(self, ledger: "asyncpg.Pool[asyncpg.Record]") -> dict[str, Any]:
        found = await ledger.fetchrow(
            "SELECT status, currency, paid, refunded, hold FROM orders WHERE order_no = $1",
            self.trade.order_no,
        )
        assert found is not None
        return dict(found)


@pytest.mark.parametrize(("name", "currency"), CASES)
async def test_paid_refunded_in_part_and_in_full(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", name: str, currency: str
) -> None:
    scenario = Scenario(site, name, currency)
    trade = scenario.trade
    await scenario.place()
    for kind, status, refunded in (
        ("paid", "paid", Decimal(0)),
        ("partial_refund", "paid", trade.refunded),
        ("refund", "refunded", trade.amount),
    ):
        await scenario.post(kind)  # type: ignore[arg-type]
        assert await scenario.stored(ledger) == {
            "status": status,
            "currency": currency,
            "paid": trade.amount,
            "refunded": refunded,
            "hold": None,
        }
    assert await ledger.fetchval("SELECT count(*) FROM parked") == 0


@pytest.mark.parametrize("name", PAID)
@pytest.mark.parametrize("sequence", list(itertools.permutations(MONEY))[1:], ids=" ".join)
async def test_in_any_order_and_before_the_order_itself(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", name: str, sequence: Sequence[Kind]
) -> None:
    scenario = Scenario(site, name, PROVIDERS[name].CURRENCIES[0])
    for kind in sequence:
        await scenario.post(kind)
    await scenario.place()
    found = await scenario.stored(ledger)
    assert (found["status"], found["paid"]) == ("refunded", scenario.trade.amount)
    assert found["refunded"] == scenario.trade.amount
    assert await ledger.fetchval("SELECT count(*) FROM parked") == 0
    assert await ledger.fetchval("SELECT count(*) FROM waiting") == 0


@pytest.mark.parametrize(
    "name", [name for name, module in PROVIDERS.items() if "closed" in module.KINDS]
)
async def test_closed_unpaid(site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", name: str) -> None:
    scenario = Scenario(site, name, PROVIDERS[name].CURRENCIES[0])
    await scenario.place()
    await scenario.post("closed")
    assert (await scenario.stored(ledger))["status"] == "closed"


async def test_a_courier_completes_a_shipped_order(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    shop, courier = Scenario(site, "wechatpay", "CNY"), Scenario(site, "kuaidi100", "CNY")
    await shop.place()
    await shop.post("paid")
    number = f"YT{courier.trade.serial}"
    left = events.Shipped(shop.trade.order_no, "yuantong", number, datetime.now(UTC))
    await tell(site.gateway, left)
    await courier.post("shipped")
    assert (await shop.stored(ledger))["status"] == "shipped"
    await courier.post("delivered")
    assert (await shop.stored(ledger))["status"] == "completed"


@pytest.mark.parametrize("name", sorted(PROVIDERS))
async def test_forgeries_and_probes_have_no_effect(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", name: str
) -> None:
    module = PROVIDERS[name]
    simulator: Simulator = module.simulator(simulated.ACCOUNTS[name])
    kind: Kind = "paid" if "paid" in module.KINDS else "delivered"
    trade = Scenario(site, name, module.CURRENCIES[0]).trade
    now = datetime.now(UTC)
    messages = [simulator.forged(how, kind, trade, at=now) for how in sorted(module.FORGERIES)]
    if "probe" in module.KINDS:
        messages.append(simulator.message("probe", trade, at=now))
    for posted in messages:
        path = f"/v1/callbacks/{name}/main"
        async with site.client.post(path, data=posted.body, headers=posted.headers) as answer:
            assert 400 <= answer.status < 500
    for table in ("order_events", "payments", "raw_messages", "parked", "waiting"):
        assert await ledger.fetchval(f"SELECT count(*) FROM {table}") == 0
