"""GET /v1/orders… while the primary is unavailable: stale answers have an age, others do not."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from gateway.runtime.settings import Settings
from gateway.stores.postgres import primary
from gateway.stores.postgres.api_keys import ApiKeys
from gateway.web import authentication
from gateway.wiring import open_gateway
from tests.stores.support import with_
from tests.support.cable import Cable, cable_to
from tests.support.patience import HANG_S, until
from tests.support.site import Site, serve
from tests.web.support import Answer, Wire, order_bytes


@asynccontextmanager
async def over_a_cable(settings: Settings) -> AsyncIterator[tuple[Site, Wire, Cable, str]]:
    """Serve with a cable to the primary, and the replica direct; both have an order."""
    async with cable_to(settings.database_url) as cable:
        changed = with_(settings, database_url=cable.url, replica_wait_s=2.0)
        async with open_gateway(changed) as gateway, serve(gateway) as site:
            wire = Wire(site.host, site.port, site.token)
            id_ = str((await wire.submit(order_bytes())).json["id"])

            async def is_on_the_replica() -> bool:
                await wire.ask("GET", f"/v1/orders/{id_}")
                return gateway.readers.reads["replica"] > 0

            await until(is_on_the_replica)
            yield site, wire, cable, id_
            cable.mend()


def paths(id_: str) -> list[str]:
    return [f"/v1/orders/{id_}", f"/v1/orders/{id_}/events", "/v1/orders?limit=200"]


async def get(wire: Wire, path: str) -> Answer:
    return await wire.ask("GET", path)


async def test_only_answers_that_may_be_stale_have_an_age(settings: Settings) -> None:
    async with over_a_cable(settings) as (_, wire, cable, id_):
        of_now = [await get(wire, path) for path in paths(id_)]
        cable.cut()
        old = [await get(wire, path) for path in paths(id_)]
        cable.mend()

        async def is_of_now() -> bool:
            return "age" not in (await get(wire, paths(id_)[0])).headers

        await until(is_of_now)
        again = [await get(wire, path) for path in paths(id_)]
    for answers in (of_now, old, again):
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert [answer.body for answer in answers] == [answer.body for answer in of_now]
    assert not any("age" in answer.headers for answer in of_now + again)
    assert all(re.fullmatch("[1-9][0-9]?", answer.headers["age"]) for answer in old)


async def test_an_order_missing_on_the_replica_may_have_been_written_since(
    settings: Settings,
) -> None:
    async with over_a_cable(settings) as (site, wire, cable, _):
        unknown = site.gateway.new_id()
        assert (await get(wire, f"/v1/orders/{unknown}")).status == 404
        cable.cut()
        for path in paths(str(unknown))[:2]:
            answer = await get(wire, path)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert "age" not in answer.headers
        # A text that is not an id needs no look-up.
        assert (await get(wire, "/v1/orders/x")).status == 404


async def test_a_silent_primary_costs_a_read_little(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Authentication and the read each wait for it once, and then neither does for a while."""
    asked = Counter[str]()

    def counting(kind: type, name: str) -> None:
        call = getattr(kind, name)

        async def counted(*arguments: Any) -> Any:
            asked[name] += 1
            return await call(*arguments)

        monkeypatch.setattr(kind, name, counted)

    async with over_a_cable(settings) as (_, wire, cable, id_):
        # The while lasts for as long as the test.
        monkeypatch.setattr(primary, "_PAUSE_S", HANG_S)
        monkeypatch.setattr(authentication, "_PAUSE_S", HANG_S)
        counting(primary.Primary, "_flushed")
        counting(ApiKeys, "find")
        cable.silence()
        async with asyncio.timeout(HANG_S):
            for _ in range(5):
                assert (await get(wire, paths(id_)[0])).status == 200
    assert asked["_flushed"] == 1
    assert asked["find"] <= 1, "or the key was still known"


async def test_metrics_count_who_answered(settings: Settings) -> None:
    async with over_a_cable(settings) as (site, wire, cable, id_):
        before = await reads_by(site)
        cable.cut()
        for _ in range(3):
            await get(wire, paths(id_)[0])
        after = await reads_by(site)
    assert set(after) == {"replica", "primary", "stale"}
    assert after == {**before, "stale": before["stale"] + 3}


async def reads_by(site: Site) -> dict[str, float]:
    async with aiohttp.ClientSession() as session, session.get(f"{site.url}/metrics") as answer:
        text = await answer.text()
    found = re.findall(r'^tidegate_reads_total\{where="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return {where: float(count) for where, count in found}
