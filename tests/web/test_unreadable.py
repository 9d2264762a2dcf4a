"""A row whose sealed part cannot be opened shows the rest of it, and takes no other row with it."""

import csv
import io
import json
import logging
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import REGISTRY

from gateway.domain.views import SEALED_FIELDS
from gateway.runtime.settings import Settings
from gateway.stores import sealing, unreadable
from gateway.wiring import open_gateway
from tests.stores.support import with_
from tests.support.cable import cable_to
from tests.support.patience import until
from tests.support.site import Site, serve
from tests.web.support import Answer, Wire, order, order_bytes

#: What may happen to a sealed value: of the head, the key id, the text and the tag.
DAMAGES = {
    "a bit of the text": "set_byte(private, 40, get_byte(private, 40) # 1)",
    "a bit of the tag": "overlay(private PLACING set_byte(substring(private FROM length(private)), "
    "0, get_byte(private, length(private) - 1) # 1) FROM length(private))",
    "another key id": "set_byte(private, 1, 77)",
    "another version": "set_byte(private, 0, 9)",
    "cut short": "substring(private FROM 1 FOR 50)",
    "only a head": "substring(private FROM 1 FOR 20)",
    "empty": "''",
    "another row's": "(SELECT o.private FROM orders o WHERE o.id <> orders.id LIMIT 1)",
}


@pytest.fixture
async def placed(wire: Wire) -> list[dict[str, Any]]:
    """Five orders of a channel of their own, the third with every private field."""
    channel = "store"
    private = {"recipient": {"id_number": "330106198001010010", "postcode": "310013"}}
    made = []
    for n in range(5):
        more = private if n == 2 else {}
        sent = order(channel=channel, remark=f"ring {n}", attributes={"n": n}, **more)
        made.append((await wire.submit(json.dumps(sent).encode())).json)
    return made


async def _ready(wire: Wire) -> Answer:
    request = wire.request("GET", "/readyz", headers=[("Connection", "close")])
    (answer,) = await wire.answers(request)
    return answer


async def damage(ledger: "asyncpg.Pool[asyncpg.Record]", id_: str, how: str) -> None:
    await ledger.execute(f"UPDATE orders SET private = {DAMAGES[how]} WHERE id = '{id_}'")


def counted() -> float:
    value = REGISTRY.get_sample_value("tidegate_unreadable_rows_total", {"place": "orders.private"})
    return value or 0.0


def is_shown_as_unreadable(shown: dict[str, Any]) -> bool:
    """Every sealed field is null and named, and the clear ones are there."""
    to = shown["recipient"]
    sealed = ("name", "phone", "street", "postcode", "id_number")
    return (
        shown["unreadable"] == list(SEALED_FIELDS)
        and {to[name] for name in sealed} == {None}
        and (shown["remark"], shown["attributes"]) == (None, None)
        and bool(to["country"] and shown["amounts"]["payable"] and shown["items"])
    )


@pytest.mark.parametrize("how", DAMAGES)
async def test_a_damaged_row_is_shown_among_good_ones(
    site: Site, wire: Wire, placed: list[dict[str, Any]], how: str,
    ledger: "asyncpg.Pool[asyncpg.Record]",
) -> None:  # fmt: skip
    damaged = placed[2]["id"]
    await damage(ledger, damaged, how)
    before = counted()
    listed = await wire.ask("GET", "/v1/orders?channel=store&limit=5")
    assert listed.status == 200
    shown = {each["id"]: each for each in listed.json["orders"]}
    assert list(shown) == [each["id"] for each in placed[::-1]]
    assert is_shown_as_unreadable(shown.pop(damaged))
    assert [each["unreadable"] for each in shown.values()] == [[]] * 4
    assert all(each["recipient"]["name"] and each["remark"] for each in shown.values())
    one = await wire.ask("GET", f"/v1/orders/{damaged}")
    assert one.status == 200
    assert is_shown_as_unreadable(one.json)
    events = await wire.ask("GET", f"/v1/orders/{damaged}/events")
    assert [event["action"] for event in events.json["events"]] == ["placed"]
    assert counted() == before + 2


async def test_an_export_has_a_line_for_it_and_is_whole(
    wire: Wire, placed: list[dict[str, Any]], ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    await damage(ledger, placed[2]["id"], "cut short")
    answer = await wire.ask("GET", "/v1/orders/export?channel=store")
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(answer.body.decode(), newline=""))}
    line = rows[placed[2]["id"]]
    assert line["unreadable"].split() == list(SEALED_FIELDS)
    assert (line["recipient_name"], line["remark"], line["attributes"]) == ("", "", "")
    assert line["payable"]
    assert [rows[each["id"]]["unreadable"] for each in placed] == [
        "",
        "",
        line["unreadable"],
        "",
        "",
    ]


async def test_masked_it_is_shown_in_the_same_way(
    site: Site, wire: Wire, placed: list[dict[str, Any]], ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    await damage(ledger, placed[2]["id"], "a bit of the text")
    masked = Wire(site.host, site.port, await site.token_for("query"))
    answer = await masked.ask("GET", f"/v1/orders/{placed[2]['id']}")
    assert is_shown_as_unreadable(answer.json)


async def test_its_remark_cannot_be_changed_and_nothing_is_lost(
    wire: Wire, placed: list[dict[str, Any]], ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """The rest of the private part is in the same envelope."""
    id_ = placed[2]["id"]
    await damage(ledger, id_, "another key id")
    before = await ledger.fetchrow(f"SELECT * FROM orders WHERE id = '{id_}'")
    answer = await wire.ask("PATCH", f"/v1/orders/{id_}/remark", b'{"remark": "new"}')
    assert (answer.status, answer.json["type"]) == (409, "/problems/unreadable")
    assert await ledger.fetchrow(f"SELECT * FROM orders WHERE id = '{id_}'") == before
    assert (await wire.ask("PATCH", f"/v1/orders/{placed[1]['id']}/remark", b'{"remark": "new"}')
            ).status == 200  # fmt: skip


@pytest.mark.parametrize("plain", [b"", b"\xff\x00", b"[]", b'{"name": 5}'])
async def test_what_opens_and_is_no_private_part_is_shown_in_the_same_way(
    site: Site, wire: Wire, placed: list[dict[str, Any]],
    ledger: "asyncpg.Pool[asyncpg.Record]", plain: bytes,
) -> None:  # fmt: skip
    """Written by another version, or by hand."""
    id_ = placed[2]["id"]
    sealed = site.gateway.stores.sealer.seal("orders.private", UUID(id_).bytes, plain)
    await ledger.execute("UPDATE orders SET private = $1 WHERE id = $2", sealed, UUID(id_))
    listed = await wire.ask("GET", "/v1/orders?channel=store&limit=5")
    shown = {each["id"]: each for each in listed.json["orders"]}
    assert is_shown_as_unreadable(shown[id_])
    changed = await wire.ask("PATCH", f"/v1/orders/{id_}/remark", b'{"remark": "new"}')
    # Where it has fields, the others stay as they are.
    assert changed.status == (200 if plain.startswith(b"{") else 409)


async def test_the_order_goes_on_all_the_same(
    wire: Wire, placed: list[dict[str, Any]], ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """What repeats it is recognised, and it is found by its phone."""
    sent = order(channel="store")
    first = await wire.submit(json.dumps(sent).encode())
    await damage(ledger, first.json["id"], "empty")
    again = await wire.submit(json.dumps(sent).encode())
    assert (again.status, again.json) == (200, first.json)
    phone = sent["recipient"]["phone"]
    found = await wire.ask("GET", f"/v1/orders?channel=store&phone={phone}")
    assert first.json["id"] in [each["id"] for each in found.json["orders"]]


async def test_the_log_names_row_and_key_and_no_content(
    wire: Wire,
    placed: list[dict[str, Any]],
    ledger: "asyncpg.Pool[asyncpg.Record]",
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unreadable._log, "filters", [])
    await damage(ledger, placed[2]["id"], "another key id")
    with caplog.at_level(logging.ERROR, unreadable.__name__):
        await wire.ask("GET", f"/v1/orders/{placed[2]['id']}")
    (record,) = (each for each in caplog.records if each.name == unreadable.__name__)
    told = {name: getattr(record, name) for name in ("place", "row", "key", "reason")}
    key = int.from_bytes(b"\x4d\x01", "big")
    assert told == {
        "place": "orders.private",
        "row": placed[2]["id"],
        "key": key,
        "reason": f"sealed with key {key}, which is not in the ring",
    }


async def test_a_ring_that_is_found_to_be_wrong_late_is_told_and_takes_no_traffic(
    settings: Settings, site: Site, tmp_path: Path
) -> None:
    """Started while Postgres was away; the site's own gateway has recorded the right ring."""
    path = tmp_path / "other.toml"
    sealing.write_ring(path, sealing.new_ring())
    async with cable_to(settings.database_url) as cable:
        cable.cut()
        wrong = with_(settings, database_url=cable.url, keyring_file=str(path))
        async with open_gateway(wrong) as gateway, serve(gateway, token=site.token) as late:
            wire = Wire(late.host, late.port, site.token)
            before = await _ready(wire)
            assert before.status == 200
            assert before.json["parts"]["key ring"] == "is not checked until postgres answers"
            cable.mend()

            async def is_refused() -> bool:
                await wire.submit(order_bytes())
                return gateway.ring_check.refusal != ""

            await until(is_refused)
            after = await _ready(wire)
            assert after.status == 503
            assert after.json["parts"]["key ring"].startswith("is not this database's")
            assert str(path) not in json.dumps(after.json)
            assert (await wire.submit(order_bytes())).status == 503
