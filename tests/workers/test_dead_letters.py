"""Dead letters as people work on them: found, replayed once, over HTTP and by command."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.domain import dead_letters
from gateway.domain.dead_letters import Filter
from gateway.stores.postgres.delivery_desk import DeliveryDesk
from gateway.web import process, wiring
from gateway.wiring import Gateway
from tests.ops.conftest import Cli, bare, cli
from tests.stores.support import Database, at_once, order
from tests.support.patience import until
from tests.support.site import Site
from tests.web.support import Wire
from tests.workers.handoff import DELIVERED, FAILED, Receiver, dispatcher, opened, running, targets
from tests.workers.test_dispatcher import all_gone, staged

WHO = "mei (uid 1000)"
__all__ = ["bare", "cli"]


@pytest.fixture
def desk(gateway: Gateway) -> DeliveryDesk:
    return DeliveryDesk(pool=gateway.stores.primary, channels=["web"])


class Warehouse:
    """A target that is down at first: all that it is told of orders 1 to ``count`` is dead."""

    def __init__(self, gateway: Gateway, ledger: Database) -> None:
        self._gateway, self._ledger = gateway, ledger
        self.receiver = Receiver(lambda _: FAILED)
        self._to = targets(opened(self.receiver, attempts_max=1, topics=["order.paid"]))

    async def misses(self, count: int) -> None:
        await staged(self._gateway, self._to, *range(1, count + 1))
        await self.is_told()

    async def is_told(self) -> None:
        async with running(dispatcher(self._gateway, self._to)):
            await until(lambda: all_gone(self._ledger))

    def is_back(self) -> None:
        self.receiver.answer = lambda _: DELIVERED

    def told(self) -> list[str]:
        return sorted(message.order_no for message in self.receiver.taken)


@pytest.fixture
def warehouse(gateway: Gateway, ledger: Database) -> Warehouse:
    return Warehouse(gateway, ledger)


async def test_two_people_replay_all_and_each_is_delivered_once(
    gateway: Gateway, ledger: Database, desk: DeliveryDesk, warehouse: Warehouse
) -> None:
    await warehouse.misses(12)
    assert (await desk.preview(Filter())).targets == {"wms": 12}
    assert warehouse.told() == []
    warehouse.is_back()
    done = await at_once([desk.replay(Filter(), actor=who, limit=12) for who in ("mei", "jun")])
    assert sum(each.deliveries for each in done) == 12
    assert (await desk.replay(Filter(), actor=WHO, limit=12)).targets == {}
    await warehouse.is_told()
    assert (await desk.replay(Filter(), actor=WHO, limit=12)).targets == {}
    assert warehouse.told() == sorted(f"W-{n}" for n in range(1, 13))
    ids = {message.order_no: message.event_id for message in warehouse.receiver.taken}
    assert all(m.event_id == ids[m.order_no] for m in warehouse.receiver.attempts)
    told = "SELECT sum(split_part(detail, ' ', 1)::int) FROM audit_log WHERE action = $1"
    assert await ledger.fetchval(told, "replay_deliveries") == 12


async def test_what_is_meant_is_found_by_target_order_reason_and_age(
    ledger: Database, desk: DeliveryDesk, warehouse: Warehouse
) -> None:
    await warehouse.misses(5)
    now = datetime.now(UTC)
    assert await desk.counts(Filter(target="erp")) == {}
    assert await desk.counts(Filter(reason="500", topic="order.paid")) == {"wms": 5}
    assert await desk.counts(Filter(reason="timed out")) == {}
    assert await desk.counts(Filter(before=now - timedelta(hours=1))) == {}
    assert await desk.counts(Filter(state="pending")) == {}
    orders = tuple(await desk.orders("W-3"))
    assert orders == ((await order(ledger, "W-3"))["id"],)
    (row,) = await desk.page(Filter(orders=orders), after=None, limit=9)
    assert (row.order_no, row.attempts, row.reason) == ("W-3", 1, "answered 500")
    assert (await desk.replay(Filter(orders=orders), actor=WHO, limit=9)).targets == {"wms": 1}
    (attempt,) = await desk.attempts(orders, limit=9)
    assert (attempt.outcome, attempt.status_code) == ("failed", 500)
    seen: list[str] = []
    place: dead_letters.Place | None = None
    while page := await desk.page(Filter(), after=place, limit=3):
        seen += [each.order_no for each in page]
        place = dead_letters.read_place(dead_letters.place_of(page[-1]))
    assert sorted(seen) == ["W-1", "W-2", "W-4", "W-5"]


async def test_a_target_is_disabled_and_enabled_and_it_is_told_who_did(
    ledger: Database, desk: DeliveryDesk, warehouse: Warehouse
) -> None:
    await warehouse.misses(1)
    assert await desk.disable("wms", actor=WHO, reason="maintenance")
    assert not await desk.disable("wms", actor=WHO, reason="again")
    (state,) = await desk.targets()
    assert (state.name, state.disabled_reason, state.dead) == ("wms", "maintenance", 1)
    assert await desk.enable("wms", actor=WHO, reason="they are back")
    assert not await desk.enable("wms", actor=WHO, reason="again")
    rows = await ledger.fetch("SELECT action, subject, detail FROM audit_log ORDER BY id")
    assert [tuple(row) for row in rows if row["action"].endswith("_target")] == [
        ("disable_target", "wms", "maintenance"),
        ("enable_target", "wms", "they are back"),
    ]


@pytest.mark.parametrize("text", ["", "x", "e30", "WyIyMDI2LTAxLTAxIiwiYSIsImIiXQ", "é"])
def test_a_place_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a place"):
        dead_letters.read_place(text)


@pytest.fixture
async def operators(site: Site) -> AsyncIterator[Wire]:
    server = wiring.build_admin_server(site.gateway, accounts=site.accounts)
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    served = process.open_listener(server, listener, site.gateway)
    yield Wire(host, port, await site.token_for("operate", name="mei"))
    server.pre_shutdown()
    await server.shutdown(2.0)
    served.close()


async def test_over_http(operators: Wire, warehouse: Warehouse) -> None:
    await warehouse.misses(3)

    async def ask(method: str, path: str, **body: Any) -> Any:
        sent = json.dumps(body).encode() if method == "POST" else None
        answer = await operators.ask(method, f"/v1/admin/{path}", sent)
        return answer.json if answer.status == 200 else (answer.status, answer.fields)

    page = await ask("GET", "deliveries?limit=2")
    rest = await ask("GET", f"deliveries?limit=2&after={page['next_after']}")
    found = [each["order_no"] for each in page["deliveries"] + rest["deliveries"]]
    assert (sorted(found), rest["next_after"]) == (["W-1", "W-2", "W-3"], None)
    assert len((await ask("GET", "deliveries/attempts?order=W-1"))["attempts"]) == 1
    dry = await ask("POST", "deliveries/replay", order="W-1", is_dry=True)
    assert dry == {"targets": {"wms": 1}, "is_dry": True}
    # Everything at once is said, and not forgotten to be narrowed.
    assert await ask("POST", "deliveries/replay") == (422, ["is_all"])
    assert (await ask("POST", "deliveries/replay", is_all=True, is_dry=True))["is_dry"]
    assert (await ask("POST", "deliveries/replay", target="wms"))["targets"] == {"wms": 3}
    assert (await ask("POST", "deliveries/replay", target="wms"))["targets"] == {}
    changed = await ask("POST", "targets/wms/disable", reason="maintenance")
    assert changed == {"target": "wms", "is_enabled": False, "was_other": True}
    assert (await ask("GET", "targets"))["targets"][0]["disabled_reason"] == "maintenance"
    assert (await ask("POST", "targets/wms/enable", reason="back"))["is_enabled"] is True
    assert await ask("POST", "targets/erp/enable", reason="back") == (404, [])
    assert await ask("POST", "targets/wms/enable", reason=" ") == (422, ["reason"])
    assert await ask("GET", "deliveries?state=odd&after=x") == (422, ["after", "state"])
    assert await ask("GET", "deliveries/attempts") == (422, ["order"])


async def test_by_command(gateway: Gateway, warehouse: Warehouse, cli: Cli) -> None:
    await warehouse.misses(3)

    async def run(*arguments: str, code: int = 0) -> str:
        done = await asyncio.to_thread(cli, "deliveries", *arguments)
        assert done.exit_code == code, (done.output, done.exception)
        return str(done.stdout)

    assert "3 in all: wms 3" in await run("list")
    assert json.loads(await run("list", "--order", "W-2", "--json"))["counts"] == {"wms": 1}
    assert "failed 500" in await run("attempts", "W-2")
    assert "wms: 3 would be due again" in await run("replay", "--all", "--dry-run")
    assert "wms: 1 are due again" in await run("replay", "--order", "W-2")
    assert "wms: 2 are due again" in await run("replay", "--target", "wms", "--per-s", "1000")
    assert await run("replay", "--all") == ""
    for command in ("list", "replay"):
        assert await run(command, "--target", "wmz", code=1) == "", "a name that is mistyped"
    assert "wms is disabled" in await run("disable", "wms", "maintenance")
    # However narrow the terminal is.
    assert "disabled since" in " ".join((await run("targets", "--wide")).split())
    assert "wms is enabled" in await run("enable", "wms", "they are back")
    await run("enable", "erp", "they are back", code=1)
    await run("attempts", "W-9", code=1)
    await run("replay", code=2)
    await run("list", "--after", "x", code=2)
