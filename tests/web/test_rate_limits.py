"""Rate limits by key and channel: 429 with Retry-After, without an effect on others."""

from typing import cast

import msgspec
import pytest
import redis

from gateway.overload.rate_limit_sync import RateLimitSync
from gateway.runtime.settings import Settings
from gateway.web import wiring
from gateway.wiring import Gateway, open_gateway
from tests.support.site import Site, serve
from tests.web.support import Wire, order_bytes


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, key_requests_per_s_max=0.5, key_burst=3)


async def test_beyond_the_limit_is_429_and_stores_nothing(site: Site, wire: Wire) -> None:
    answers = [await wire.submit(order_bytes()) for _ in range(4)]
    assert [answer.status for answer in answers] == [201, 201, 201, 429]
    rejected = answers[-1]
    assert rejected.json["type"] == "/problems/quota-exceeded"
    assert rejected.headers["retry-after"] in "12"
    assert (await wire.ask("GET", "/v1/orders")).status == 429
    other = Wire(site.host, site.port, await site.token_for("ingest"))
    assert (await other.submit(order_bytes())).status == 201
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await wire.ask("GET", path)).status == 200
    shown = (await wire.ask("GET", "/metrics")).body.decode()
    assert "tidegate_quota_refused_total" in shown
    assert site.gateway.admission.concurrency.in_use == 0


@pytest.fixture
def of_channel(settings: Settings) -> Settings:
    channels = [
        msgspec.structs.replace(each, orders_per_s_max=0.5, orders_burst=2)
        if each.name == "app"
        else each
        for each in settings.channels
    ]
    return msgspec.structs.replace(settings, key_requests_per_s_max=0.0, channels=channels)


async def test_a_channel_beyond_its_limit_is_429_for_every_key(of_channel: Settings) -> None:
    async with open_gateway(of_channel) as gateway, serve(gateway) as site:
        wires = [Wire(site.host, site.port, await site.token_for("ingest")) for _ in range(3)]
        answers = [await wire.submit(order_bytes(channel="app")) for wire in wires]
        assert [answer.status for answer in answers] == [201, 201, 429]
        assert "app" in answers[-1].json["detail"]
        assert (await wires[0].submit(order_bytes(channel="web"))).status == 201


async def test_test_orders_use_up_no_budget_of_live_ones(of_channel: Settings) -> None:
    async with open_gateway(of_channel) as gateway, serve(gateway) as site:
        token = await site.token_for("ingest", is_test=True)
        sandbox = Wire(site.host, site.port, token)
        answers = [await sandbox.submit(order_bytes(channel="app")) for _ in range(3)]
        assert [answer.status for answer in answers] == [201, 201, 429]
        live = Wire(site.host, site.port, site.token)
        assert (await live.submit(order_bytes(channel="app"))).status == 201


async def exchange(*gateways: Gateway) -> None:
    """All of them publish their counts, and receive the totals."""
    for gateway in (*gateways, *gateways):
        await cast("RateLimitSync", wiring.tasks(gateway, 0)["rate limits"]).exchange()


async def test_a_channel_is_counted_across_processes_and_keys(of_channel: Settings) -> None:
    of_channel = msgspec.structs.replace(
        of_channel,
        channels=[
            msgspec.structs.replace(each, orders_per_s_max=each.orders_per_s_max / 100)
            for each in of_channel.channels
        ],
    )
    async with (
        open_gateway(of_channel) as one,
        open_gateway(of_channel) as other,
        serve(one) as site,
        serve(other) as beside,
    ):
        here = Wire(site.host, site.port, await site.token_for("ingest"))
        there = Wire(beside.host, beside.port, await beside.token_for("ingest"))
        assert (await here.submit(order_bytes(channel="app"))).status == 201
        assert (await there.submit(order_bytes(channel="app"))).status == 201
        await exchange(one, other)
        assert (await here.submit(order_bytes(channel="app"))).status == 429
        assert (await there.submit(order_bytes(channel="app"))).status == 429
        assert (await there.submit(order_bytes(channel="web"))).status == 201


async def test_a_key_is_counted_across_processes_without_storing_it(
    settings: Settings, valkey: "redis.Redis"
) -> None:
    core = msgspec.structs.replace(settings, key_requests_per_s_max=0.01, role="core")
    query = msgspec.structs.replace(core, role="query")
    async with (
        open_gateway(core) as one,
        open_gateway(query) as other,
        serve(one) as site,
        serve(other) as beside,
    ):
        token = await site.token_for("ingest", "query")
        here = Wire(site.host, site.port, token)
        there = Wire(beside.host, beside.port, token)
        for _ in range(2):
            assert (await here.submit(order_bytes())).status == 201
        assert (await there.ask("GET", "/v1/orders")).status == 200
        await exchange(one, other)
        assert (await there.ask("GET", "/v1/orders")).status == 429
        assert (await here.submit(order_bytes())).status == 429
        (key,) = valkey.keys("tidegate:{load}:quota:*")
        assert key == f"tidegate:{{load}}:quota:key:100:{token.split('_')[1]}".encode()


async def test_without_a_limit_nothing_is_published(
    settings: Settings, valkey: "redis.Redis"
) -> None:
    unlimited = msgspec.structs.replace(settings, key_requests_per_s_max=0.0)
    async with open_gateway(unlimited) as gateway, serve(gateway) as site:
        wire = Wire(site.host, site.port, await site.token_for("ingest"))
        assert (await wire.submit(order_bytes())).status == 201
        await exchange(gateway)
    assert valkey.keys("tidegate:{load}:quota:*") == []


async def test_without_redis_nothing_is_published(settings: Settings) -> None:
    alone = msgspec.structs.replace(settings, key_requests_per_s_max=1.0, redis_url="")
    async with open_gateway(alone) as gateway:
        assert "rate limits" not in wiring.tasks(gateway, 0)
