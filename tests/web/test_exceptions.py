"""/v1/admin/exceptions: cases over HTTP."""

import json
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.web import process, wiring
from tests.support.site import Site
from tests.web.support import Wire, order


@pytest.fixture
async def operators(site: Site) -> AsyncIterator[Wire]:
    server = wiring.build_admin_server(site.gateway, accounts=site.accounts)
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    served = process.open_listener(server, listener, site.gateway)
    yield Wire(host, port, await site.token_for("operate"))
    server.pre_shutdown()
    await server.shutdown(2.0)
    served.close()


def opening(order_no: str, **changes: object) -> bytes:
    return json.dumps(
        {"order": order_no, "kind": "invoice", "message": "wants a VAT invoice", **changes}
    ).encode()


def change(entry: str, **more: object) -> bytes:
    return json.dumps({"entry": entry, **more}).encode()


async def test_a_case_is_opened_owned_and_resolved(operators: Wire, site: Site, wire: Wire) -> None:
    sent = order()
    placed = (await wire.submit(json.dumps(sent).encode())).json
    opened = await operators.ask("POST", "/v1/admin/exceptions", opening(sent["order_no"]))
    assert opened.status == 200
    case = opened.json
    assert (case["kind"], case["order_id"], case["owner"]) == ("invoice", placed["id"], "")
    way = f"/v1/admin/exceptions/{case['id']}"
    answer = await operators.ask("POST", f"{way}/entries", change("assigned", owner="finance"))
    assert (answer.status, answer.json["owner"]) == (200, "finance")
    late = change("deadline", due_at="2020-01-01T00:00:00Z")
    await operators.ask("POST", f"{way}/entries", late)
    listed = (await operators.ask("GET", "/v1/admin/exceptions?is_overdue=true&kind=invoice")).json
    assert [each["id"] for each in listed["exceptions"]] == [case["id"]]
    assert listed["next_after"] is None
    done = change("resolved", message="sent it")
    for _ in range(2):
        answer = await operators.ask("POST", f"{way}/entries", done)
        assert answer.json["resolved_at"] is not None
    shown = (await operators.ask("GET", way)).json
    assert [(each["entry"], each["message"]) for each in shown["entries"]] == [
        ("opened", "wants a VAT invoice"), ("assigned", ""), ("deadline", ""),
        ("resolved", "sent it"),
    ]  # fmt: skip
    assert all(each["actor"].startswith("test (key ") for each in shown["entries"])
    (row,) = (await operators.ask("GET", "/v1/admin/exceptions/report?days=1")).json["classes"]
    assert (row["kind"], row["open"], row["resolved"]) == ("invoice", 0, 1)
    # The same class again: the same case, which has come back.
    again = (await operators.ask("POST", "/v1/admin/exceptions", opening(placed["id"]))).json
    assert (again["id"], again["relapses"], again["resolved_at"]) == (case["id"], 1, None)
    audited = await site.gateway.stores.primary.fetchval(
        "SELECT count(*) FROM audit_log WHERE subject = $1", case["id"]
    )
    assert audited == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (opening("never-placed"), "order"),
        (opening("W-1", kind="weather"), "kind"),
        (opening("W-1", message=" \t"), "message"),
        (opening("W-1", message=""), "message"),
        (opening("W-1", extra=1), "extra"),
    ],
)
async def test_what_cannot_be_opened_names_its_field(
    operators: Wire, body: bytes, field: str
) -> None:
    answer = await operators.ask("POST", "/v1/admin/exceptions", body)
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (change("deadline"), "due_at"),
        (change("deadline", due_at="2026-12-01T00:00:00"), "due_at"),
        (change("resolved"), "message"),
        (change("commented", message="\x00"), "message"),
        (change("assigned", owner="a\nb"), "owner"),
        (change("deleted"), "entry"),
    ],
)
async def test_what_cannot_be_changed_names_its_field(
    operators: Wire, body: bytes, field: str
) -> None:
    way = "/v1/admin/exceptions/00000000-0000-7000-8000-000000000000/entries"
    answer = await operators.ask("POST", way, body)
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize(
    "query",
    ["kind=weather", "is_open=perhaps", "after=x", "limit=0", "limit=501", "limit=9x", "days=1"],
)
async def test_a_wrong_filter_is_named(operators: Wire, query: str) -> None:
    answer = await operators.ask("GET", f"/v1/admin/exceptions?{query}")
    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == query.partition("=")[0]


async def test_what_is_not_there_is_not_found(operators: Wire) -> None:
    for id_ in ("00000000-0000-7000-8000-000000000000", "seven"):
        answer = await operators.ask("GET", f"/v1/admin/exceptions/{id_}")
        assert answer.status == 404, answer.json
    way = "/v1/admin/exceptions/00000000-0000-7000-8000-000000000000/entries"
    answer = await operators.ask("POST", way, change("commented", message="hello"))
    assert answer.status == 404
