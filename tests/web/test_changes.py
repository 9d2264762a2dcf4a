"""GET /v1/orders?updated_since=…: following changes over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.stores.support import Database
from tests.stores.test_change_feed import relay
from tests.support.site import Site
from tests.web.support import Wire, order_bytes


@pytest.fixture(autouse=True)
async def _empty(ledger: Database) -> None:
    """Only the test's own orders."""
    await ledger.execute("ALTER TABLE order_events DISABLE TRIGGER append_only")
    await ledger.execute(
        "TRUNCATE orders, order_events, fingerprints, velocity, outbox, order_changes"
    )
    await ledger.execute("ALTER TABLE order_events ENABLE TRIGGER append_only")


async def _placed(wire: Wire, order_no: str, **changes: Any) -> str:
    answer = await wire.submit(order_bytes(order_no=order_no, **changes))
    assert answer.status == 201
    return str(answer.json["id"])


async def _page(wire: Wire, **query: object) -> Any:
    answer = await wire.ask("GET", f"/v1/orders?{urlencode(query)}")
    assert answer.status == 200, answer
    return answer.json


def _numbers(page: Any) -> list[str]:
    return [shown["order_no"] for shown in page["orders"]]


def _ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


async def test_a_follower_is_led_on_from_page_to_page(wire: Wire, ledger: Database) -> None:
    for n in range(3):
        await _placed(wire, f"C-{n}")
    await relay(ledger)
    first = await _page(wire, updated_since=_ago(days=1), limit=2)
    assert (_numbers(first), first["is_last"]) == (["C-0", "C-1"], False)
    # A client that keeps its parameters goes on all the same.
    rest = await _page(wire, updated_since=_ago(days=1), limit=2, cursor=first["next_cursor"])
    assert (_numbers(rest), rest["is_last"]) == (["C-2"], True)
    idle = await _page(wire, cursor=rest["next_cursor"])
    assert (_numbers(idle), idle["is_last"]) == ([], True)
    changed = await wire.ask("GET", "/v1/orders?order_no=C-1")
    (shown,) = changed.json["orders"]
    answer = await wire.ask(
        "PATCH", f"/v1/orders/{shown['id']}/remark", b'{"remark": "ring twice"}'
    )
    assert answer.status == 200
    await relay(ledger)
    news = await _page(wire, cursor=idle["next_cursor"])
    assert [(each["order_no"], each["remark"]) for each in news["orders"]] == [
        ("C-1", "ring twice")
    ]
    one = (await wire.ask("GET", f"/v1/orders/{shown['id']}")).json
    assert news["orders"] == [one]


async def test_a_list_says_that_it_is_at_its_end(wire: Wire) -> None:
    for n in range(2):
        await _placed(wire, f"C-{n}")
    first = await _page(wire, limit=1)
    assert (first["is_last"], first["next_cursor"] is None) == (False, False)
    whole = await _page(wire)
    assert (whole["is_last"], whole["next_cursor"]) == (True, None)


async def test_a_key_follows_what_it_may_see(site: Site, wire: Wire, ledger: Database) -> None:
    await _placed(wire, "C-web")
    await _placed(wire, "C-app", channel="app")
    test_wire = Wire(wire.host, wire.port, await site.token_for("ingest", "query", is_test=True))
    await _placed(test_wire, "C-test")
    await relay(ledger)
    since = _ago(hours=1)
    assert _numbers(await _page(wire, updated_since=since)) == ["C-web", "C-app"]
    assert _numbers(await _page(wire, updated_since=since, channel="app")) == ["C-app"]
    assert _numbers(await _page(wire, updated_since=since, is_test="any")) == [
        "C-web", "C-app", "C-test",
    ]  # fmt: skip
    assert _numbers(await _page(test_wire, updated_since=since)) == ["C-test"]
    wire.token = await site.token_for("query", channels=["app"])
    assert _numbers(await _page(wire, updated_since=since)) == ["C-app"]
    answer = await wire.ask("GET", f"/v1/orders?{urlencode({'updated_since': since})}&channel=web")
    assert (answer.status, answer.fields) == (422, ["channel"])


async def test_extreme_times_are_valid(wire: Wire, ledger: Database) -> None:
    await _placed(wire, "C-1")
    await relay(ledger)
    for since, numbers in (("0001-01-01T00:00:00Z", ["C-1"]), ("9999-12-31T23:59:59Z", [])):
        assert _numbers(await _page(wire, updated_since=since)) == numbers
    scanned = {"buyer_id": "b", "placed_from": "0001-01-01T00:00:00Z"}
    answer = await wire.ask("GET", f"/v1/orders?{urlencode(scanned)}")
    assert (answer.status, answer.fields) == (422, ["buyer_id"])


async def test_what_cannot_be_followed_is_explained(wire: Wire, ledger: Database) -> None:
    since = _ago(hours=1)
    for name, value in {
        "status": "paid",
        "hold": "any",
        "placed_from": since,
        "buyer_id": "b",
        "order_no": "C-1",
    }.items():
        query = urlencode({"updated_since": since, name: value})
        answer = await wire.ask("GET", f"/v1/orders?{query}")
        assert (answer.status, answer.fields) == (422, [name])
        assert "would not be told" in answer.json["errors"][0]["reason"]
    for query in ("updated_since=yesterday", "updated_since=", f"updated_since={since[:10]}"):
        answer = await wire.ask("GET", f"/v1/orders?{query}")
        assert (answer.status, answer.fields) == (422, ["updated_since"])
    for cursor in ("Y2hhbmdlc3w=", "Y2hhbmdlc3wtMQ==", "Y2hhbmdlc3w5OTk5OTk5OTk5OTk5OTk5OTk5OQ=="):
        answer = await wire.ask("GET", f"/v1/orders?cursor={cursor}")
        assert (answer.status, answer.fields) == (422, ["cursor"])
    answer = await wire.ask("GET", f"/v1/orders/export?{urlencode({'updated_since': since})}")
    assert (answer.status, answer.fields) == (422, ["updated_since"])


async def test_changes_that_are_not_kept_are_refused_with_the_way_out(
    wire: Wire, ledger: Database
) -> None:
    await _placed(wire, "C-1")
    await relay(ledger)
    first = await _page(wire, updated_since=_ago(days=1))
    id_ = await _placed(wire, "C-2")
    await ledger.execute("DELETE FROM orders WHERE id::text <> $1", id_)
    await ledger.execute("TRUNCATE order_changes, outbox")
    await ledger.fetchval("SELECT nextval('order_changes_position')")
    await ledger.execute(
        "INSERT INTO order_changes SELECT nextval('order_changes_position'), id, 2, "
        "'order.changed', gen_random_uuid(), now(), '2026-11-01T10:00:00Z' FROM orders"
    )
    asked = {
        "updated_since": {"updated_since": "2026-10-31T00:00:00Z"},
        "cursor": {"cursor": first["next_cursor"]},
    }
    for name, query in asked.items():
        answer = await wire.ask("GET", f"/v1/orders?{urlencode(query)}")
        assert (answer.status, answer.fields) == (422, [name])
        reason = answer.json["errors"][0]["reason"]
        assert "2026-11-01T10:00:00.000Z" in reason
        assert "export" in reason
    kept = await _page(wire, updated_since="2026-11-01T10:00:00Z")
    assert _numbers(kept) == ["C-2"]
