"""GET /v1/orders/export: content, permissions, audit, limits and aborts."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from gateway.domain import features, order_csv
from gateway.overload.rejections import Rejection
from gateway.web.handlers import exports
from gateway.web.handlers.exports import ExportHandler
from tests.support.limits import limits
from tests.support.patience import HANG_S
from tests.support.site import Site
from tests.web.support import Wire, order


def read(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode("utf-8"), newline="")))


@pytest.fixture
def the_exports(site: Site) -> ExportHandler:
    """The handler that serves the route."""
    (route,) = (r for r in site.server._router.routes if r.name == "orders.export")
    handler: ExportHandler = route.handler.__self__  # type: ignore[attr-defined]
    return handler


@pytest.fixture(autouse=True)
async def _nothing_is_left(the_exports: ExportHandler) -> AsyncIterator[None]:
    yield
    async with asyncio.timeout(HANG_S):
        while the_exports.running:
            await asyncio.sleep(0.01)


async def audited(site: Site) -> list[tuple[str, str, str]]:
    rows = await site.gateway.stores.primary.fetch(
        "SELECT action, subject, detail FROM audit_log WHERE action LIKE 'orders.%' ORDER BY id"
    )
    return [tuple(row) for row in rows]


async def test_every_order_is_a_row_with_the_values_of_a_read(site: Site, wire: Wire) -> None:
    sent = order(remark='line one\nline "two", with a comma; 换行')
    placed = await wire.submit(json.dumps(sent).encode())
    answer = await wire.ask("GET", f"/v1/orders/export?order_no={sent['order_no']}")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    (row,) = read(answer.body)
    assert tuple(row) == order_csv.COLUMNS
    shown = (await wire.ask("GET", placed.headers["location"])).json
    assert row["id"] == shown["id"]
    assert row["payable"] == shown["amounts"]["payable"]
    money_back = (row["owed"], row["closed_cause"], row["pays_on_delivery"])
    assert money_back == (shown["amounts"]["owed"], "", "false")
    assert row["recipient_phone"] == shown["recipient"]["phone"]
    assert row["remark"] == sent["remark"]
    assert json.loads(row["items"]) == shown["items"]
    assert row["placed_at"] == datetime.fromisoformat(shown["placed_at"]).isoformat()


async def test_more_than_a_page_is_complete_and_in_order(
    site: Site, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_PAGE_ROWS", 3)
    buyer = f"export-{datetime.now(UTC).timestamp()}"
    numbers = []
    for _ in range(8):
        sent = order(buyer_id=buyer, channel="store")
        numbers.append(sent["order_no"])
        await wire.submit(json.dumps(sent).encode())
    answer = await wire.ask("GET", "/v1/orders/export?channel=store")
    rows = read(answer.body)
    assert len({row["id"] for row in rows}) == len(rows)
    assert [row["order_no"] for row in rows if row["buyer_id"] == buyer][::-1] == numbers


async def test_private_fields_are_masked_without_query_pii(site: Site, wire: Wire) -> None:
    sent = order(remark="secret remark", recipient={"name": "王小明", "street": "secret street"})
    await wire.submit(json.dumps(sent).encode())
    masked = Wire(wire.host, wire.port, await site.token_for("query"))
    answer = await masked.ask("GET", f"/v1/orders/export?order_no={sent['order_no']}")
    (row,) = read(answer.body)
    assert row["recipient_name"] == "王**"
    for secret in ("secret", "小明", sent["recipient"]["phone"][-4:] + '"'):
        assert secret.encode() not in answer.body


async def test_formulas_of_a_spreadsheet_are_made_harmless(wire: Wire) -> None:
    sent = order(remark="=HYPERLINK(1)", buyer_id="@sum", recipient={"name": "-1+2"})
    await wire.submit(json.dumps(sent).encode())
    answer = await wire.ask("GET", f"/v1/orders/export?order_no={sent['order_no']}&bom=true")
    assert answer.body.startswith(b"\xef\xbb\xbf")
    (row,) = read(answer.body[3:])
    assert (row["remark"], row["buyer_id"]) == ("'=HYPERLINK(1)", "'@sum")
    assert row["recipient_name"] == "'-1+2"


async def test_it_is_audited_before_and_after_without_the_phone(site: Site, wire: Wire) -> None:
    before = len(await audited(site))
    await wire.ask("GET", "/v1/orders/export?phone=13800138000&status=paid")
    async with asyncio.timeout(HANG_S):
        while len(rows := (await audited(site))[before:]) < 2:
            await asyncio.sleep(0.01)
    assert [action for action, _, _ in rows] == ["orders.export", "orders.exported"]
    assert rows[0][1] == "channels every; status paid; phone one; is_test false"
    assert rows[0][2] == "in clear"
    assert rows[1][2].startswith("0 orders, whole")
    assert "138" not in str(rows)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=5", "limit"),
        ("cursor=x", "cursor"),
        ("bom=1", "bom"),
        ("status=nothing", "status"),
        ("placed_from=yesterday", "placed_from"),
        ("channel=a&channel=b", "channel"),
    ],
)
async def test_an_invalid_query_is_explained(wire: Wire, query: str, field: str) -> None:
    answer = await wire.ask("GET", f"/v1/orders/export?{query}")
    assert (answer.status, answer.fields) == (422, [field])


async def test_a_key_exports_its_own_channels_only(site: Site, wire: Wire) -> None:
    sent = order(channel="web")
    await wire.submit(json.dumps(sent).encode())
    other = Wire(wire.host, wire.port, await site.token_for("query", channels=["app"]))
    assert read((await other.ask("GET", "/v1/orders/export")).body) == []
    assert (await other.ask("GET", "/v1/orders/export?channel=web")).status == 422
    ingest = Wire(wire.host, wire.port, await site.token_for("ingest"))
    assert (await ingest.ask("GET", "/v1/orders/export")).status == 403


async def test_concurrent_exports_have_a_limit(wire: Wire, the_exports: ExportHandler) -> None:
    the_exports.running += 2
    try:
        answer = await wire.ask("GET", "/v1/orders/export")
    finally:
        the_exports.running -= 2
    assert (answer.status, answer.headers["retry-after"]) == (503, "30")


async def test_one_that_is_too_large_is_aborted_visibly(
    site: Site, wire: Wire, the_exports: ExportHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await wire.submit(json.dumps(order()).encode())
    monkeypatch.setattr(the_exports, "_limits", limits(export_rows_max=2))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError, ValueError)):
        await wire.ask("GET", "/v1/orders/export")
    async with asyncio.timeout(HANG_S):
        while (await audited(site))[-1][0] != "orders.exported":
            await asyncio.sleep(0.01)
    assert "broken off" in (await audited(site))[-1][2]


async def test_one_that_stays_shed_is_aborted(
    site: Site, wire: Wire, the_exports: ExportHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(the_exports, "_shed_wait_s", 0.0)
    monkeypatch.setattr(exports, "_POLL_S", 0.001)
    monkeypatch.setattr(site.gateway.admission, "rejected_share", lambda feature: 1.0)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError, ValueError)):
        await wire.ask("GET", "/v1/orders/export")


async def test_it_is_rejected_early_by_its_own_feature(site: Site, wire: Wire) -> None:
    breaker = site.gateway.admission.breakers[4]
    breaker.state, breaker.share = "shedding_all", 1.0
    answer = await wire.ask("GET", "/v1/orders/export?status=paid")
    assert answer.status == 503
    assert answer.json["context"]["feature"] == "order_export"
    assert (await wire.ask("GET", "/v1/orders")).status == 200
    assert isinstance(site.gateway.admission.admit(features.LIVE_STREAM), Rejection)


async def test_the_connection_is_kept_alive(wire: Wire) -> None:
    asked = wire.request("GET", "/v1/orders/export?order_no=none")
    last = wire.request("GET", "/healthz", None, [("Connection", "close")])
    answers = await wire.answers(asked + last)
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].body == order_csv.head()


async def test_old_clients_read_to_the_end_of_the_connection(wire: Wire) -> None:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    writer.write(wire.request("GET", "/v1/orders/export?order_no=none", version="HTTP/1.0"))
    head, _, body = (await asyncio.wait_for(reader.read(), HANG_S)).partition(b"\r\n\r\n")
    writer.close()
    assert b"chunked" not in head
    assert body == order_csv.head()


async def test_a_head_request_reads_nothing(wire: Wire, the_exports: ExportHandler) -> None:
    answer = await wire.ask("HEAD", "/v1/orders/export")
    assert (answer.status, answer.body) == (200, b"")
    assert the_exports.running == 0
