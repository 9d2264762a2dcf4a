"""Parked messages over HTTP: parked by a wrong configuration, mended, replayed, and closed."""

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from gateway.runtime.settings import Account
from gateway.web import accounts as provider_accounts
from gateway.web import process, wiring
from ops.simulators import douyin_pay, stripe
from ops.simulators.contract import Trade
from tests.support.site import Site
from tests.web.support import Wire, order

PAY, CARD = douyin_pay.create(), stripe.create()
WRONG_EVENTS = {"payment_events": ["PAYMENT.DONE"]}
_serial = itertools.count(1)


@pytest.fixture
def accounts(tmp_path: Path) -> list[Account]:
    """Douyin Pay with a wrong list of its events, and Stripe with a wrong channel."""
    for name, account in (("pay", PAY), ("card", CARD)):
        (tmp_path / name).write_text(account.secrets[0])
    return configured(tmp_path, WRONG_EVENTS, ["app"])


def configured(path: Path, pay: dict[str, Any], channels: list[str]) -> list[Account]:
    return [
        Account("douyin_pay", "main", ["web"], [f"file:{path / 'pay'}"], {**PAY.options, **pay}),
        Account("stripe", "main", channels, [f"file:{path / 'card'}"], dict(CARD.options)),
    ]


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


class Desk:
    """What an operator does, and what comes before it."""

    def __init__(self, site: Site, operators: Wire, path: Path) -> None:
        self._site, self._operators, self._path = site, operators, path

    async def pay(self, provider: Any, account: Any, currency: str) -> tuple[str, bytes]:
        """Place an order and pay it; return its number, and the message."""
        n = next(_serial)
        made = order(channel="web", currency=currency)
        due = Decimal(made["amounts"]["payable"])
        trade = Trade(f"P{n}", made["order_no"], due, Decimal(1), currency)
        status, _ = await self._site.submit(json.dumps(made).encode())
        assert status == 201
        posted = provider.simulator(account).message("paid", trade, at=datetime.now(UTC))
        name = provider.__name__.rpartition(".")[2]
        path = f"/v1/callbacks/{name}/main"
        async with self._site.client.post(path, data=posted.body, headers=posted.headers) as answer:
            assert answer.status == 200, await answer.text()
        return made["order_no"], posted.body

    def mend(self, **changes: Any) -> None:
        """Configure the accounts as they should have been, as a reload does."""
        made = {"pay": {}, "channels": ["web", "app"]} | changes
        anew = msgspec.structs.replace(
            self._site.gateway.settings,
            accounts=configured(self._path, made["pay"], made["channels"]),
        )
        self._site.accounts.now = provider_accounts.build(anew, before={})

    async def rows(self, query: str) -> list[dict[str, Any]]:
        answer = await self._operators.ask("GET", f"/v1/admin/parked?{query}")
        assert answer.status == 200, answer
        found: list[dict[str, Any]] = answer.json["rows"]
        return found

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = await self._operators.ask(
            "POST", f"/v1/admin/parked/{path}", json.dumps(body).encode()
        )
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json
        return found

    async def status(self, order_no: str) -> str:
        async with self._site.client.get(f"/v1/orders?order_no={order_no}") as answer:
            found = (await answer.json())["orders"]
        return str(found[0]["status"])


@pytest.fixture
def desk(site: Site, operators: Wire, tmp_path: Path) -> Desk:
    return Desk(site, operators, tmp_path)


async def test_parked_by_a_wrong_configuration_mended_and_paid(
    desk: Desk, operators: Wire, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    order_no, _ = await desk.pay(douyin_pay, PAY, "CNY")
    assert await desk.status(order_no) == "pending_payment"
    (row,) = await desk.rows(f"order={order_no}")
    assert (row["reason"], row["source"], row["assignee"]) == ("unmapped", "douyin_pay:main", None)
    id_ = row["id"]
    still = await desk.post(f"{id_}/replay", is_dry=True)
    assert (still["outcome"], still["is_resolved"]) == ("parked", False)
    desk.mend()
    shown = (await operators.ask("GET", f"/v1/admin/parked/{id_}")).json
    assert [each["event"] for each in shown["read_as"]] == ["payment_succeeded"]
    assert "replay" in shown["action"]
    dry = await desk.post(f"{id_}/replay", is_dry=True)
    assert (dry["outcome"], await desk.status(order_no)) == ("applied", "pending_payment")
    both = await asyncio.gather(*[desk.post(f"{id_}/replay") for _ in range(2)])
    assert sorted(each["outcome"] for each in both) in (
        ["applied", "closed"],
        ["applied", "repeat"],
    )
    assert await desk.status(order_no) == "paid"
    assert (await desk.post(f"{id_}/replay"))["outcome"] == "closed"
    (row,) = await desk.rows(f"order={order_no}&state=resolved")
    assert row["resolved_by"].startswith("mei (key ")
    # The provider sends it again, much later: a repeat.
    assert (
        await ledger.fetchval(
            "SELECT count(*) FROM payments WHERE order_no = $1 AND standing = 'applied'", order_no
        )
        == 1
    )


async def test_what_waited_for_another_channel_is_replayed_by_filter(
    desk: Desk, site: Site
) -> None:
    paid = [(await desk.pay(stripe, CARD, "USD"))[0] for _ in range(5)]
    await site.gateway.maintenance.park_overdue_events(-1, 100)
    found = await desk.rows("reason=unknown_order&account=stripe:main")
    assert {row["order_no"] for row in found} >= set(paid)
    desk.mend()
    seen: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = await desk.post(
            "replay", reason="unknown_order", account="stripe", limit=2, after=after
        )
        seen += page["replayed"]
        after = page["next_after"]
        if after is None:
            break
    done = [each for each in seen if each["order_no"] in paid]
    assert [each["outcome"] for each in done] == ["applied"] * 5
    assert [await desk.status(order_no) for order_no in paid] == ["paid"] * 5
    again = await desk.post("replay", reason="unknown_order", account="stripe")
    assert again["replayed"] == []


async def test_a_row_is_given_closed_and_opened_again(desk: Desk, operators: Wire) -> None:
    order_no, _ = await desk.pay(douyin_pay, PAY, "CNY")
    id_ = (await desk.rows(f"order={order_no}"))[0]["id"]
    assert (await desk.post(f"{id_}/assign", assignee="jun"))["assignee"] == "jun"
    assert [row["id"] for row in await desk.rows("assignee=jun&state=open")] == [id_]
    first = await desk.post(f"{id_}/resolve", reason="refunded at the provider")
    again = await desk.post(f"{id_}/resolve", reason="something else")
    assert first == again
    assert first["resolution"] == "refunded at the provider"
    counts = (await operators.ask("GET", f"/v1/admin/parked/counts?order={order_no}")).json
    assert counts == {"reasons": []}
    assert (await desk.post(f"{id_}/reopen", reason="the wrong one"))["resolved_at"] is None
    desk.mend()
    await desk.post(f"{id_}/replay")
    refused = await operators.ask(
        "POST", f"/v1/admin/parked/{id_}/reopen", b'{"reason": "once more"}'
    )
    assert (refused.status, refused.fields) == (422, ["id"])


async def test_a_message_is_shown_masked_and_in_clear_only_to_whom_may(
    desk: Desk, site: Site, operators: Wire, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    order_no, body = await desk.pay(stripe, CARD, "USD")
    await site.gateway.maintenance.park_overdue_events(-1, 100)
    id_ = (await desk.rows(f"order={order_no}"))[0]["id"]
    shown = (await operators.ask("GET", f"/v1/admin/parked/{id_}")).json
    assert shown["message"]["type"] == json.loads(body)["type"]
    assert set(shown["message"]) == set(json.loads(body))
    path = f"/v1/admin/parked/{id_}/message"
    assert (await operators.ask("GET", path)).status == 403
    may = Wire(operators.host, operators.port, await site.token_for("query_pii", name="audit"))
    assert (await may.ask("GET", path)).json["message"] == body.decode()
    found = await ledger.fetchrow(
        "SELECT actor FROM audit_log WHERE action = 'show_parked' AND subject = $1", id_
    )
    assert found is not None
    assert found["actor"].startswith("audit (key ")


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("{id}/resolve", b'{"reason": " "}', ["reason"]),
        ("{id}/resolve", b"{}", ["reason"]),
        ("{id}/assign", b'{"assignee": "a\\u0000"}', ["assignee"]),
        ("replay", b'{"limit": 0}', ["limit"]),
        ("replay", b'{"per_s": 0}', ["per_s"]),
        ("replay", b'{"reasons": "x"}', ["reasons"]),
        ("replay", b'{"order": "a\\u0000"}', ["body"]),
    ],
)
async def test_wrong_requests_say_which_field(
    desk: Desk, operators: Wire, path: str, body: bytes, fields: list[str]
) -> None:
    order_no, _ = await desk.pay(douyin_pay, PAY, "CNY")
    id_ = (await desk.rows(f"order={order_no}"))[0]["id"]
    answer = await operators.ask("POST", f"/v1/admin/parked/{path.replace('{id}', id_)}", body)
    assert (answer.status, answer.fields) == (422, fields)


@pytest.mark.parametrize(
    "query",
    [
        "state=odd",
        "reason=odd",
        "limit=0",
        "older_h=x",
        "after=1",
        "what=1",
        "order=a%00",
        "account=%00",
    ],
)
async def test_wrong_queries_say_which_parameter(operators: Wire, query: str) -> None:
    answer = await operators.ask("GET", f"/v1/admin/parked?{query}")
    assert (answer.status, answer.fields) == (422, [query.partition("=")[0]])


@pytest.mark.parametrize("id_", ["0", "019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10"])
async def test_a_row_that_does_not_exist(operators: Wire, id_: str) -> None:
    for method, path, body in (
        ("GET", f"/v1/admin/parked/{id_}", None),
        ("POST", f"/v1/admin/parked/{id_}/replay", b"{}"),
        ("POST", f"/v1/admin/parked/{id_}/resolve", b'{"reason": "r"}'),
    ):
        assert (await operators.ask(method, path, body)).status == 404


async def test_what_was_rejected_is_beside_it(site: Site, operators: Wire) -> None:
    body = b'{"name": "Zhang San"}'
    async with site.client.post("/v1/callbacks/stripe/main", data=body) as answer:
        assert answer.status == 400
    await site.gateway.rejected_callbacks.write()
    listed = (await operators.ask("GET", "/v1/admin/callbacks?provider=stripe")).json
    assert listed["counts"] == {"missing_signature": len(listed["callbacks"])}
    id_ = listed["callbacks"][0]["id"]
    shown = (await operators.ask("GET", f"/v1/admin/callbacks/{id_}")).json
    assert (shown["fault"], shown["body"]) == ("", {"name": "Z********"})
    assert (await operators.ask("GET", "/v1/admin/callbacks?limit=0")).fields == ["limit"]
    assert (await operators.ask("GET", "/v1/admin/callbacks/0")).status == 404


@pytest.mark.parametrize(
    "path", ["parked", "parked/counts", "parked/{id}", "parked/{id}/message", "callbacks",
             "exceptions", "deliveries", "modes"],
)  # fmt: skip
async def test_a_key_of_one_channel_sees_nothing_of_the_others(
    desk: Desk, operators: Wire, site: Site, path: str
) -> None:
    order_no, _ = await desk.pay(douyin_pay, PAY, "CNY")
    id_ = (await desk.rows(f"order={order_no}"))[0]["id"]
    token = await site.token_for("operate", "query_pii", name="app", channels=["app"])
    of_app = Wire(operators.host, operators.port, token)
    answer = await of_app.ask("GET", f"/v1/admin/{path.replace('{id}', id_)}")
    assert (answer.status, "limited to channels" in answer.json["detail"]) == (403, True)
    replayed = await of_app.ask("POST", f"/v1/admin/parked/{id_}/replay", b"{}")
    assert replayed.status == 403
    assert (await of_app.ask("GET", "/v1/admin/missed")).status == 200


async def test_everything_is_replayed_only_where_that_is_said(operators: Wire) -> None:
    way = "/v1/admin/parked/replay"
    refused = await operators.ask("POST", way, b"{}")
    assert (refused.status, refused.fields) == (422, ["is_all"])
    for body in (b'{"is_all": true, "is_dry": true}', b'{"is_dry": true}', b'{"order": "none"}'):
        assert (await operators.ask("POST", way, body)).status == 200, body
