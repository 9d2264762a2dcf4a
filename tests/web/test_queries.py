"""GET /v1/orders…: filters, pages, masking and channels."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg
import pytest

from tests.support.site import Site
from tests.web.support import Answer, Wire, order, order_bytes

PHONE = "13912345678"


@pytest.fixture(autouse=True)
async def _empty(ledger: "asyncpg.Pool[asyncpg.Record]") -> None:
    """Only the test's own orders."""
    # History is append-only unless the session says otherwise explicitly.
    await ledger.execute("ALTER TABLE order_events DISABLE TRIGGER append_only")
    await ledger.execute("TRUNCATE orders, order_events, fingerprints, velocity")
    await ledger.execute("ALTER TABLE order_events ENABLE TRIGGER append_only")


async def _placed(wire: Wire, **changes: Any) -> str:
    """Place an order and return its id."""
    answer = await wire.submit(order_bytes(**changes))
    assert answer.status == 201
    return str(answer.json["id"])


async def _listed(wire: Wire, **query: object) -> list[str]:
    answer = await wire.ask("GET", f"/v1/orders?{urlencode(query)}")
    assert answer.status == 200, answer
    return [shown["id"] for shown in answer.json["orders"]]


async def test_orders_are_found_by_each_filter(
    wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    a = await _placed(
        wire,
        placed_at="2026-11-20T08:00:00Z",
        channel="app",
        order_no="A",
        recipient={"phone": PHONE},
    )
    b = await _placed(wire, placed_at="2026-11-21T08:00:00Z", order_no="A")
    c = await _placed(wire, placed_at="2026-11-22T08:00:00Z", order_no="C")
    await ledger.execute("UPDATE orders SET status = 'paid' WHERE id::text = $1", c)
    found = {
        "all": await _listed(wire),
        "channel": await _listed(wire, channel="app"),
        "order_no": await _listed(wire, order_no="A"),
        "both": await _listed(wire, channel="web", order_no="A"),
        "status": await _listed(wire, status="paid"),
        "from": await _listed(wire, placed_from="2026-11-21T08:00:00Z"),
        "to": await _listed(wire, placed_to="2026-11-21T16:00:00+08:00"),
        "range": await _listed(
            wire, placed_from="2026-11-20T09:00:00Z", placed_to="2026-11-22T08:00:00Z"
        ),
        "phone": await _listed(wire, phone=PHONE),
        "limit": await _listed(wire, limit=2),
        "nothing": await _listed(wire, status="refunded"),
        "no such channel": await _listed(wire, channel="nowhere"),
    }
    assert found == {
        "all": [c, b, a],
        "channel": [a],
        "order_no": [b, a],
        "both": [b],
        "status": [c],
        "from": [c, b],
        "to": [a],
        "range": [b],
        "phone": [a],
        "limit": [c, b],
        "nothing": [],
        "no such channel": [],
    }


async def test_a_phone_is_found_in_every_notation(wire: Wire) -> None:
    id_ = await _placed(wire, recipient={"phone": "+86 139-1234-5678"})
    for spelling in (PHONE, f"+86{PHONE}", f"86{PHONE}", "139 1234 5678"):
        assert await _listed(wire, phone=spelling) == [id_]
        raw = await wire.ask("GET", f"/v1/orders?phone={spelling.replace(' ', '+')}")
        assert len(raw.json["orders"]) == 1
    assert await _listed(wire, phone="13912345679") == []
    abroad = await _placed(wire, recipient={"phone": "2125551234", "country": "US"})
    assert await _listed(wire, phone="+1 212 555 1234", country="US") == [abroad]


async def test_pages_show_every_order_once_while_more_are_placed(wire: Wire) -> None:
    # Three at the same time, so that a page often ends between equal times.
    there = {await _placed(wire, placed_at=f"2026-11-20T08:00:{n // 3:02d}Z") for n in range(40)}
    seen: list[str] = []
    cursor: str | None = ""
    placing: list[asyncio.Task[str]] = []
    while cursor is not None:
        query = {"limit": "7"} | ({"cursor": cursor} if cursor else {})
        page = (await wire.ask("GET", f"/v1/orders?{urlencode(query)}")).json
        seen += [shown["id"] for shown in page["orders"]]
        cursor = page["next_cursor"]
        placing.append(asyncio.create_task(_placed(wire, placed_at="2026-11-22T08:00:00Z")))
        await placing[-1]
        assert len(placing) < 20
    assert len(seen) == len(set(seen)) == 40
    assert set(seen) == there


async def test_pages_keep_to_their_filter(wire: Wire) -> None:
    mine = {await _placed(wire, channel="app") for _ in range(5)}
    for _ in range(5):
        await _placed(wire)
    first = (await wire.ask("GET", "/v1/orders?channel=app&limit=3")).json
    path = f"/v1/orders?channel=app&limit=3&cursor={quote(first['next_cursor'])}"
    last = (await wire.ask("GET", path)).json
    assert {shown["id"] for shown in first["orders"] + last["orders"]} == mine
    assert last["next_cursor"] is None


async def test_an_order_just_placed_is_always_found(wire: Wire) -> None:
    for _ in range(30):
        id_ = await _placed(wire)
        assert (await wire.ask("GET", f"/v1/orders/{id_}")).status == 200
        assert (await _listed(wire, limit=200)).count(id_) == 1


async def test_private_fields_are_masked_without_query_pii(site: Site, wire: Wire) -> None:
    sent = order(
        recipient={"phone": PHONE, "id_number": "110101199003071234"}, attributes={"gift": "yes"}
    )
    id_ = (await wire.submit(json.dumps(sent).encode())).json["id"]
    shown = {}
    for role in ("query", "query_pii", "admin"):
        wire.token = await site.token_for(role)
        one = (await wire.ask("GET", f"/v1/orders/{id_}")).json
        (listed,) = (await wire.ask("GET", "/v1/orders")).json["orders"]
        assert listed == one
        shown[role] = one
    clear, masked = shown["query_pii"], shown["query"]
    assert clear["recipient"] == sent["recipient"]
    assert (clear["remark"], clear["attributes"]) == (sent["remark"], sent["attributes"])
    assert masked["recipient"]["phone"] == "139****5678"
    assert masked["recipient"]["province"] == "Zhejiang"
    assert shown["admin"] == masked
    for secret in (PHONE, "Zhang San", "Longjing Road", "310013", "110101199003071234", "slip"):
        assert secret not in json.dumps(masked)
        assert secret in json.dumps(clear)
    assert masked["attributes"] is None
    hidden = ("recipient", "remark", "attributes")
    assert {k: v for k, v in masked.items() if k not in hidden} == {
        k: v for k, v in clear.items() if k not in hidden
    }


async def test_orders_of_other_channels_are_not_found(site: Site, wire: Wire) -> None:
    mine, theirs = await _placed(wire, channel="app"), await _placed(wire, channel="web")
    nobodys = theirs[:-4] + "0000"
    wire.token = await site.token_for("query", channels=["app"])
    assert await _listed(wire) == [mine]
    assert await _listed(wire, channel="app") == [mine]
    for path in ("", "/events"):
        assert (await wire.ask("GET", f"/v1/orders/{mine}{path}")).status == 200
        hidden = await wire.ask("GET", f"/v1/orders/{theirs}{path}")
        absent = await wire.ask("GET", f"/v1/orders/{nobodys}{path}")
        assert hidden.status == 404
        assert hidden.unnamed == absent.unnamed
    asked = await wire.ask("GET", "/v1/orders?channel=web")
    assert (asked.status, asked.fields) == (422, ["channel"])


def _cursor(at: str, id_: str = "01a209f4-391c-7cde-86e1-dfdbbe3eee55") -> str:
    return base64.urlsafe_b64encode(f"{at}|{id_}".encode()).decode()


async def test_an_invalid_parameter_is_named(wire: Wire) -> None:
    wrong: dict[str, list[str]] = {
        "limit": ["0", "201", "-1", "1.5", "", "x", "٣", "1e2", "+5", "9" * 30],
        "status": ["", "open", "PAID"],
        "channel": ["", "a\0b", "x" * 300],
        "order_no": ["", "\n", "\u2028"],
        "phone": ["", "-", " ", "()", "x" * 257],
        "country": ["", "cn", "CHN", "C1"],
        "cursor": [
            "", "x", "!!", "é", "AAAA", _cursor("2026-01-01"), _cursor("x"),
            _cursor("2026-01-01T00:00:00+00:00", "x"), _cursor("2026-01-01T00:00:00"),
            _cursor("9999-12-31T23:59:59-14:00"), _cursor("0001-01-01T00:00:00+14:00"),
        ],
        "nothing": ["1"],
    }  # fmt: skip
    times = [
        "", "yesterday", "2026-11-23", "2026-11-23T10:00:00", "5", "1e400", "2026-13-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00",
    ]  # fmt: skip
    got, due = {}, {}
    for name, values in (wrong | {"placed_from": times, "placed_to": times}).items():
        for value in values:
            query = {name: value} | ({"phone": PHONE} if name == "country" else {})
            answer = await wire.ask("GET", f"/v1/orders?{urlencode(query)}")
            got[name, value] = (answer.status, answer.fields)
            due[name, value] = (422, [name])
    assert got == due


async def test_extreme_times_are_valid(wire: Wire) -> None:
    id_ = await _placed(wire)
    far = {"placed_from": "0001-01-01T00:00:00Z", "placed_to": "9999-12-31T23:59:59Z"}
    assert await _listed(wire, **far) == [id_]
    assert await _listed(wire, cursor=_cursor("0001-01-01T00:00:00+00:00")) == []


async def test_a_malformed_query_is_rejected(wire: Wire) -> None:
    twice = await wire.ask("GET", "/v1/orders?limit=1&limit=2")
    assert (twice.status, twice.fields) == (422, ["limit"])
    for query in ("order_no=%ff", "order_no=%ed%a0%80", "&".join(f"x{n}=1" for n in range(99))):
        assert (await wire.ask("GET", f"/v1/orders?{query}")).status == 400
    for query in ("", "?", "?&", "?&&limit=1&"):
        assert (await wire.ask("GET", f"/v1/orders{query}")).status == 200


async def test_the_history_has_the_source_of_each_event(wire: Wire) -> None:
    id_ = await _placed(wire)
    (event,) = (await wire.ask("GET", f"/v1/orders/{id_}/events")).json["events"]
    assert event["action"] == "placed"
    assert (event["from_status"], event["to_status"]) == (None, "pending_payment")
    assert event["outcome"] == "applied"
    assert event["trigger"].startswith("key:")
    assert event["source"] == "placed:web"


async def test_reads_change_nothing(wire: Wire) -> None:
    id_ = await _placed(wire)

    async def read() -> Answer:
        return await wire.ask("GET", f"/v1/orders/{id_}")

    first, *others = await asyncio.gather(*[read() for _ in range(20)])
    assert {other.body for other in others} == {first.body}
