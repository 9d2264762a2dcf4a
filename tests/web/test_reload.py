"""A reload of a gateway that answers: the next request goes by it, those that began do not."""

import asyncio
import itertools
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import pytest

from gateway.domain import features
from gateway.runtime import settings as configuration
from gateway.runtime.reload_plan import Plan
from gateway.runtime.settings import Account, Channel, Settings, SettingsError
from gateway.runtime.settings_rules import Rule
from gateway.web.reload import GatewayConfiguration
from ops.simulators import shopify, stripe
from ops.simulators.contract import Account as Simulated
from ops.simulators.contract import Posted, Trade
from tests.support.patience import HANG_S
from tests.support.site import Site
from tests.web.support import Wire, order, order_bytes, read_answer

PATH = "/v1/callbacks/stripe/main"
UNKNOWN = "this provider account is not configured"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "stripe"
    file.write_text(STRIPE.secrets[0])
    return file


@pytest.fixture
def accounts(secret: Path, tmp_path: Path) -> list[configuration.Account]:
    (tmp_path / "shopify").write_text(SHOP.secrets[0])
    return [
        Account("stripe", "main", ["web"], [f"file:{secret}"]),
        Account("shopify", "main", ["tmall"], [f"file:{tmp_path / 'shopify'}"], dict(SHOP.options)),
    ]


STRIPE, NEXT_STRIPE, SHOP = stripe.create(), stripe.create(), shopify.create()


class Reloading:
    """Reloads a site with other settings, as SIGHUP does."""

    def __init__(self, site: Site) -> None:
        self.settings = site.gateway.settings
        self._configuration = GatewayConfiguration(
            gateway=site.gateway,
            accounts=site.accounts,
            early_rejection=site.server.early_rejection,
            inventory=site.inventory,
            load=lambda: self.settings,
        )

    async def __call__(self, **changes: Any) -> Plan:
        """Change these settings, for the following reloads too; return what changed."""
        self.settings = msgspec.structs.replace(self.settings, **changes)
        return self._configuration.apply(await asyncio.to_thread(self._configuration.read))


@pytest.fixture
def reload(site: Site) -> Reloading:
    return Reloading(site)


_serial = itertools.count(1)


def event(signer: Simulated, *, provider: Any = stripe, kind: Any = "paid") -> Posted:
    """Return a message about an order of its own."""
    n = next(_serial)
    trade = Trade(f"R{n}", f"RL-{n}", Decimal(199), Decimal(9), "USD")
    posted: Posted = provider.simulator(signer).message(kind, trade, at=datetime.now(UTC))
    return posted


async def status(site: Site, posted: Posted, path: str = PATH) -> int:
    async with site.client.post(path, data=posted.body, headers=posted.headers) as answer:
        await answer.read()
        return answer.status


async def test_a_rotated_secret_is_in_force_at_once(
    site: Site, reload: Reloading, secret: Path
) -> None:
    assert await status(site, event(STRIPE)) == 200
    assert await status(site, event(NEXT_STRIPE)) == 400
    secret.write_text(NEXT_STRIPE.secrets[0])
    assert (await reload()).text() == "accounts ~ stripe/main (secrets)"
    assert await status(site, event(NEXT_STRIPE)) == 200
    assert await status(site, event(STRIPE)) == 400


async def test_while_rotating_both_secrets_are_accepted(
    site: Site, reload: Reloading, secret: Path, tmp_path: Path
) -> None:
    (tmp_path / "next").write_text(NEXT_STRIPE.secrets[0])
    both = [f"file:{tmp_path / 'next'}", f"file:{secret}"]
    await reload(accounts=[Account("stripe", "main", ["web"], both)])
    assert await status(site, event(STRIPE)) == 200
    assert await status(site, event(NEXT_STRIPE)) == 200


async def test_accounts_come_and_go_on_open_connections(
    site: Site, reload: Reloading, secret: Path
) -> None:
    first, second = reload.settings.accounts
    path = "/v1/callbacks/stripe/eu"
    callbacks = next(r for r in site.server._router.routes if r.name == "callbacks")
    early = site.server.early_rejection
    # One connection, kept alive over all of it.
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(site.url, connector=connector) as client:

        async def post(path: str) -> tuple[int, bytes]:
            posted = event(STRIPE)
            headers = {**posted.headers, "X-Request-Id": "the-same"}
            async with client.post(path, data=posted.body, headers=headers) as answer:
                return answer.status, await answer.read()

        unknown = await post(path)
        assert unknown[0] == 404
        assert UNKNOWN in unknown[1].decode()
        moved = Account("stripe", "eu", ["web"], [f"file:{secret}"])
        plan = await reload(accounts=[moved, second])
        assert plan.text() == "accounts + stripe/eu, - stripe/main"
        assert (await post(path))[0] == 200
        assert await post(PATH) == unknown
        # Under load, too, it is decided about by the new accounts.
        assert early.feature_of(callbacks, ("stripe", "eu")) is features.CALLBACKS
        assert early.feature_of(callbacks, ("stripe", "main")) is features.OTHER
        await reload(accounts=[first, second])
        assert await post(path) == unknown
        assert (await post(PATH))[0] == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"accounts": [Account("stripe", "main", ["web"], ["file:/nowhere/s"])]},
        {"accounts": [Account("stripe", "main", ["web"], ["env:TIDEGATE_TEST_NOT_SET"])]},
        {"accounts": [Account("nobody", "main", ["web"], ["env:HOME"])]},
        {"accounts": [Account("stripe", "main", ["web"], ["env:HOME"])]},
        {"channels": [Channel("elsewhere")]},
    ],
)
async def test_where_anything_is_wrong_nothing_changes(
    site: Site, wire: Wire, reload: Reloading, wrong: Mapping[str, Any]
) -> None:
    channel = Channel("web", orders_per_s_max=0.001, orders_burst=1)
    with pytest.raises(SettingsError, match="accounts: "):
        await reload(**{"channels": [channel], "order_bytes_max": 10, "key_burst": 1, **wrong})
    assert await status(site, event(STRIPE)) == 200
    for _ in range(3):
        assert (await wire.submit(order_bytes())).status == 201
    assert (await wire.submit(order_bytes(channel="app"))).status == 201


async def test_what_needs_a_restart_stays_as_it_is(site: Site, reload: Reloading) -> None:
    plan = await reload(port=1, commit_s=0.001, database_url="postgresql://nowhere", key_burst=7)
    assert plan.needs_restart == ["database_url", "port", "commit_s"]
    assert plan.text() == "limits key_burst 100 -> 7"
    # It is named until the restart, and the rest is not named again.
    again = await reload()
    assert (again.text(), again.needs_restart) == ("nothing", plan.needs_restart)
    assert (await site.submit(order_bytes()))[0] == 201


async def test_the_size_of_orders_is_limited_anew(both_paths: Wire, reload: Reloading) -> None:
    large = order_bytes(remark="r" * 400)
    await reload(order_bytes_max=len(large) - 1)
    refused = await both_paths.submit(large)
    assert refused.status == 413
    assert f"{len(large) - 1} bytes" in refused.json["detail"]
    await reload(order_bytes_max=len(large))
    assert (await both_paths.submit(large)).status == 201


async def test_the_size_of_callbacks_is_limited_anew(site: Site, reload: Reloading) -> None:
    posted = event(STRIPE)
    await reload(callback_bytes_max=len(posted.body) - 1)
    assert await status(site, posted) == 413
    await reload(callback_bytes_max=len(posted.body))
    assert await status(site, posted) == 200


async def test_the_rate_of_a_key_is_limited_anew(
    site: Site, both_paths: Wire, reload: Reloading
) -> None:
    await reload(key_requests_per_s_max=0.001, key_burst=3)
    both_paths.token = await site.token_for("ingest")
    found = [(await both_paths.submit(order_bytes())).status for _ in range(4)]
    assert found == [201, 201, 201, 429]
    # It goes on from the three that were counted.
    await reload(key_burst=5)
    found = [(await both_paths.submit(order_bytes())).status for _ in range(3)]
    assert found == [201, 201, 429]
    await reload(key_requests_per_s_max=0.0)
    assert (await both_paths.submit(order_bytes())).status == 201


async def test_a_channel_comes_with_its_limit_and_goes(both_paths: Wire, reload: Reloading) -> None:
    channels = reload.settings.channels
    assert (await both_paths.submit(order_bytes(channel="kiosk"))).status == 422
    kiosk = Channel("kiosk", orders_per_s_max=0.001, orders_burst=1)
    assert (await reload(channels=[*channels, kiosk])).text() == "channels + kiosk"
    found = [(await both_paths.submit(order_bytes(channel="kiosk"))).status for _ in range(2)]
    assert found == [201, 429]
    assert (await reload(channels=channels)).text() == "channels - kiosk"
    gone = await both_paths.submit(order_bytes(channel="kiosk"))
    assert (gone.status, gone.fields) == (422, ["channel"])


async def test_a_channel_has_another_policy_at_once(both_paths: Wire, reload: Reloading) -> None:
    buyer = order(buyer_id="b-reload")["buyer_id"]

    async def hold() -> str | None:
        """Return why an order of the same goods is held."""
        content = order(buyer_id=buyer)
        first = await both_paths.submit(json.dumps(content).encode())
        again = {**content, "order_no": content["order_no"] + "-2"}
        second = await both_paths.submit(
            json.dumps(again).encode(), {"Idempotency-Key": again["order_no"]}
        )
        assert {first.status, second.status} == {201}
        found: str | None = second.json["hold"]
        return found

    assert await hold() == "lookalike"
    off = [
        msgspec.structs.replace(each, lookalike="off") if each.name == "web" else each
        for each in reload.settings.channels
    ]
    assert (await reload(channels=off)).text() == "channels ~ web (lookalike hold -> off)"
    assert await hold() is None


async def test_streams_are_limited_anew(site: Site, reload: Reloading) -> None:
    await reload(streams_max=1)
    async with site.client.get("/v1/stream") as first:
        assert first.status == 200
        async with site.client.get("/v1/stream") as second:
            assert second.status == 503
        await reload(streams_max=2)
        async with site.client.get("/v1/stream") as second:
            assert second.status == 200


async def half_sent(
    wire: Wire, path: str, posted: Posted
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """Send a callback but for the end of its body, once the gateway waits for that."""
    headers = [*posted.headers.items(), ("Connection", "close"), ("Expect", "100-continue")]
    whole = wire.request("POST", path, posted.body, headers, has_key=False)
    head = whole[: len(whole) - len(posted.body)]
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    writer.write(head)
    async with asyncio.timeout(HANG_S):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(posted.body[:20])
    return reader, writer, posted.body[20:]


async def test_a_callback_that_began_is_finished_with_its_account(
    wire: Wire, reload: Reloading, secret: Path
) -> None:
    _, shop = reload.settings.accounts
    reader, writer, rest = await half_sent(wire, PATH, event(STRIPE))
    secret.write_text(NEXT_STRIPE.secrets[0])
    await reload()
    await reload(accounts=[shop])
    writer.write(rest)
    async with asyncio.timeout(HANG_S):
        answer = await read_answer(reader)
    assert answer is not None
    assert answer.status == 200
    writer.close()


async def test_an_order_of_a_shop_that_began_is_stored_though_its_channel_goes(
    wire: Wire, reload: Reloading, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    parked = "SELECT count(*) FROM parked"
    before = await ledger.fetchval(parked)
    posted = event(SHOP, provider=shopify, kind="placed")
    reader, writer, rest = await half_sent(wire, "/v1/callbacks/shopify/main", posted)
    channels = [each for each in reload.settings.channels if each.name != "tmall"]
    plan = await reload(accounts=reload.settings.accounts[:1], channels=channels)
    assert plan.text() == "accounts - shopify/main; channels - tmall"
    writer.write(rest)
    async with asyncio.timeout(HANG_S):
        answer = await read_answer(reader)
    assert answer is not None
    assert answer.status == 200
    writer.close()
    assert await ledger.fetchval("SELECT count(*) FROM orders WHERE channel = 'tmall'") == 1
    assert await ledger.fetchval(parked) == before


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """The role that a test asks for as a parameter; without one, all."""
    return msgspec.structs.replace(settings, role=getattr(request, "param", "all"))


@pytest.mark.parametrize("settings", ["query"], indirect=True)
async def test_a_process_that_only_reads_names_no_account(
    reload: Reloading, tmp_path: Path
) -> None:
    plan = await reload(
        accounts=[Account("stripe", "eu", ["web"], ["file:/nowhere"])], exports_max=3
    )
    assert plan.text() == "limits exports_max 2 -> 3"


async def test_rules_are_in_force_at_once_and_a_wrong_one_leaves_those_of_before(
    both_paths: Wire, site: Site, reload: Reloading, tmp_path: Path
) -> None:
    numbers = tmp_path / "numbers.txt"
    numbers.write_text("+8613800138000\n")
    bad = Rule(name="bad", kind="blocked", phones_file=str(numbers))

    async def held() -> str | None:
        body = order_bytes(recipient={"phone": "13800138000"})
        answer = await both_paths.submit(body)
        assert answer.status == 201
        shown = (await both_paths.ask("GET", f"/v1/orders/{answer.json['id']}")).json
        found = shown["screening"] and shown["screening"]["findings"][0]["values"]
        assert found == (None if answer.json["hold"] is None else {"phone": "+86****8000"})
        hold: str | None = answer.json["hold"]
        return hold

    assert await held() is None
    assert (await reload(rules=[bad])).text() == "rules + bad"
    assert await held() == "screened"
    numbers.write_text("13800138000\n")
    with pytest.raises(SettingsError, match=r"bad \(rule 1\): line 1 of"):
        await reload()
    assert await held() == "screened"
    numbers.write_text("+8613800138001\n")
    assert (await reload()).text() == "rules ~ bad (what its files hold)"
    assert await held() is None
    dear = Rule(name="dear", kind="expression", when="payable > 1")
    with pytest.raises(SettingsError, match="is it payable_minor"):
        await reload(rules=[dear])
    assert site.gateway.rules.now.rules.names == ["bad"]
