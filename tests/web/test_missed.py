"""Missed orders over HTTP: listed page by page, as JSON or a sheet, and pushed."""

import csv
import io
import json
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest

from gateway.runtime.settings import Settings
from gateway.runtime.settings_targets import Target
from gateway.web import process, wiring
from tests.stores.missed_support import told
from tests.stores.support import Database
from tests.support.site import Site
from tests.web.support import Wire

WAY = "/v1/admin/missed"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    stream = {"kind": "redis_stream", "url": "redis://127.0.0.1:1/0"}
    targets = [
        Target(name="wms", accepts="callback", **stream),  # type: ignore[arg-type]
        Target(name="bus", **stream),  # type: ignore[arg-type]
    ]
    return msgspec.structs.replace(settings, targets=targets)


@pytest.fixture
async def operators(site: Site, ledger: Database) -> AsyncIterator[Wire]:
    # The tests of this folder share a database.
    await ledger.execute("TRUNCATE awaiting_acceptance, deliveries")
    server = wiring.build_admin_server(site.gateway, accounts=site.accounts)
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    served = process.open_listener(server, listener, site.gateway)
    yield Wire(host, port, await site.token_for("operate"))
    server.pre_shutdown()
    await server.shutdown(2.0)
    served.close()


async def push(wire: Wire, **body: object) -> tuple[int, list[tuple[str, bool]]]:
    answer = await wire.ask("POST", f"{WAY}/push", json.dumps(body).encode())
    orders = answer.json.get("orders", [])
    return answer.status, [(each["order_no"], each["is_pushed"]) for each in orders]


async def test_pages_join_without_a_gap_in_both_forms(
    operators: Wire, site: Site, ledger: Database
) -> None:
    for n in range(5):
        await told(site.gateway, ledger, n, age_s=800 - n)
    found: list[str] = []
    after = ""
    while True:
        answer = await operators.ask("GET", f"{WAY}?limit=2{after}")
        assert answer.status == 200, answer
        found += [each["order_no"] for each in answer.json["orders"]]
        if answer.json["next_after"] is None:
            break
        after = f"&after={answer.json['next_after']}"
    assert found == [f"W-{n}" for n in range(5)]
    first = (await operators.ask("GET", f"{WAY}?limit=1")).json["orders"][0]
    assert (first["target"], first["standing"], first["is_disabled"]) == ("wms", "not tried", False)
    assert first["age_s"] >= 800
    sheet = await operators.ask("GET", f"{WAY}?format=csv&channel=web&target=wms")
    rows = list(csv.DictReader(io.StringIO(sheet.body.decode(), newline="")))
    assert [row["order_no"] for row in rows] == found
    assert (await operators.ask("GET", f"{WAY}?channel=app")).json["orders"] == []


async def test_a_push_is_tried_dry_done_and_repeated(
    operators: Wire, site: Site, ledger: Database
) -> None:
    ids = [await told(site.gateway, ledger, n, age_s=800 - n) for n in range(3)]
    assert await push(operators, all=True, is_dry=True) == (
        200,
        [(f"W-{n}", False) for n in range(3)],
    )
    assert await ledger.fetchval("SELECT count(*) FROM deliveries") == 0
    assert await push(operators, orders=[str(ids[1])]) == (200, [("W-1", True)])
    assert await push(operators, all=True, target="wms") == (200, [("W-0", True), ("W-2", True)])
    # What is due already is not pushed again.
    assert await push(operators, all=True) == (200, [])
    assert await ledger.fetchval("SELECT count(*) FROM deliveries WHERE due_at <= now()") == 3
    pushes = await ledger.fetch("SELECT actor FROM audit_log WHERE action = 'missed.push'")
    assert [row[0][:10] for row in pushes] == ["test (key "] * 3


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("after=yesterday", "after"),
        ("after=2026-11-30T00:00:00_x_y", "after"),
        ("format=xml", "format"),
        ("target=bus", "target"),
        ("age=1", "age"),
    ],
)
async def test_a_wrong_query_names_its_field(operators: Wire, query: str, field: str) -> None:
    answer = await operators.ask("GET", f"{WAY}?{query}")
    assert answer.status == 422
    assert [each["field"] for each in answer.json["errors"]] == [field]


async def test_a_push_of_nothing_or_of_everything_twice_over_is_refused(operators: Wire) -> None:
    for body in ({}, {"all": True, "orders": ["019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10"]}):
        assert await push(operators, **body) == (422, [])


async def test_a_key_without_the_role_sees_nothing(operators: Wire, site: Site) -> None:
    reader = Wire(operators.host, operators.port, await site.token_for("query"))
    assert (await reader.ask("GET", WAY)).status == 403
