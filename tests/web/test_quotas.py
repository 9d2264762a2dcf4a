"""A key's own quota: 429 and not 503, with the time to wait, and nobody else's trouble."""

import msgspec
import pytest

from gateway.runtime.settings import Settings
from gateway.wiring import open_gateway
from tests.support.site import Site, serve
from tests.web.support import Wire, order_bytes


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, key_requests_per_s_max=0.5, key_burst=3)


async def test_beyond_the_quota_is_429_and_leaves_no_trace(site: Site, wire: Wire) -> None:
    answers = [await wire.submit(order_bytes()) for _ in range(4)]
    assert [answer.status for answer in answers] == [201, 201, 201, 429]
    refused = answers[-1]
    assert refused.json["type"] == "/problems/quota-exceeded"
    assert refused.headers["retry-after"] in "12"
    assert (await wire.ask("GET", "/v1/orders")).status == 429
    other = Wire(site.host, site.port, await site.token_for("ingest"))
    assert (await other.submit(order_bytes())).status == 201
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await wire.ask("GET", path)).status == 200
    shown = (await wire.ask("GET", "/metrics")).body.decode()
    assert "tidegate_quota_refused_total" in shown
    assert site.gateway.overload.slots.in_use == 0


@pytest.fixture
def of_channel(settings: Settings) -> Settings:
    channels = [
        msgspec.structs.replace(each, orders_per_s_max=0.5, orders_burst=2)
        if each.name == "app"
        else each
        for each in settings.channels
    ]
    return msgspec.structs.replace(settings, key_requests_per_s_max=0.0, channels=channels)


async def test_a_channel_beyond_its_quota_is_told_so_whatever_the_key(of_channel: Settings) -> None:
    async with open_gateway(of_channel) as gateway, serve(gateway) as site:
        wires = [Wire(site.host, site.port, await site.token_for("ingest")) for _ in range(3)]
        answers = [await wire.submit(order_bytes(channel="app")) for wire in wires]
        assert [answer.status for answer in answers] == [201, 201, 429]
        assert "app" in answers[-1].json["detail"]
        assert (await wires[0].submit(order_bytes(channel="web"))).status == 201
