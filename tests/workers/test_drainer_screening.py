"""Rules and an outage: what was journaled is screened when it is drained, by when it came."""

import json
from collections.abc import AsyncIterator

import pytest

from gateway.runtime.settings import Settings
from gateway.runtime.settings_rules import Rule
from tests.stores.support import Database, order, submit, with_
from tests.workers.outage import Outage, numbered, outage_of

_RULES = [
    Rule(name="bad", kind="blocked", phones=["+8613800138000"]),
    Rule(name="two-an-hour", kind="limit", orders_max=2, window_s=3600),
    Rule(name="all", kind="route", warehouse="hz-1"),
]


@pytest.fixture
async def outage(settings: Settings) -> AsyncIterator[Outage]:
    async with outage_of(with_(settings, rules=_RULES)) as started:
        yield started


async def test_journaled_orders_get_their_holds_and_routes_when_they_are_drained(
    outage: Outage, ledger: Database
) -> None:
    gateway = outage.gateway
    assert (await submit(gateway, numbered(1, buyer_id="b"))).hold is None
    outage.cable.cut()
    blocked = await submit(gateway, numbered(2, recipient={"phone": "13800138000"}))
    assert (blocked.is_journaled, blocked.hold) == (True, None)
    for n in (3, 4):
        assert (await submit(gateway, numbered(n, buyer_id="b"))).is_journaled
    await outage.mend()
    await outage.drained()
    stored = {n: await order(ledger, f"W-{n}") for n in range(1, 5)}
    assert stored[2]["hold"] == "screened"
    assert sorted(str(stored[n]["hold"]) for n in (1, 3, 4)) == ["None", "None", "screened"]
    assert {json.loads(each["screening"])["warehouse"] for each in stored.values()} == {"hz-1"}


async def test_draining_the_same_again_counts_nothing_twice(
    outage: Outage, ledger: Database
) -> None:
    outage.cable.cut()
    sent = numbered(1, buyer_id="b")
    await submit(outage.gateway, sent)
    await outage.mend()
    await outage.drained()
    for _ in range(3):
        assert (await submit(outage.gateway, sent)).answer == "replayed"
    query = "SELECT cardinality(recent) FROM purchases p ORDER BY 1 DESC"
    assert await ledger.fetchval(query) == 1
    assert (await submit(outage.gateway, numbered(2, buyer_id="b"))).hold is None
