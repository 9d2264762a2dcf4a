"""/v1/admin: overrides, plans and load over HTTP."""

import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from gateway.domain import features
from gateway.overload.load import Signal
from gateway.overload.rejections import Rejection
from gateway.web import process, wiring
from tests.support.site import Site
from tests.web.support import Wire


@pytest.fixture
async def operators(site: Site) -> AsyncIterator[Wire]:
    server = wiring.build_admin_server(site.gateway, accounts=site.accounts)
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    served = process.open_listener(server, listener, site.gateway)
    yield Wire(host, port, await site.token_for("operate"))
    for target in ("order_lists", "tier3", "callbacks"):
        await site.gateway.override_store.clear(target, actor="test")
    server.pre_shutdown()
    await server.shutdown(2.0)
    served.close()


def order(**changes: object) -> bytes:
    return json.dumps({"mode": "shed", "for_s": 60, "reason": "rebuild", **changes}).encode()


async def test_an_override_is_set_and_cleared(operators: Wire, site: Site) -> None:
    way = "/v1/admin/modes/order_lists"
    answer = await operators.ask("PUT", way, order())
    assert (answer.status, answer.json) == (200, {"target": "order_lists", "is_asked": False})
    (mode,) = (await operators.ask("GET", "/v1/admin/modes")).json["modes"]
    assert (mode["word"], mode["reason"]) == ("shed", "rebuild")
    assert mode["actor"].startswith("test (key ")
    # The process that answered applies it at once.
    asked = site.gateway.admission.admit(features.ORDER_LISTS)
    assert isinstance(asked, Rejection)
    load = (await operators.ask("GET", "/v1/admin/load")).json
    assert [each["target"] for each in load["modes"]] == ["order_lists"]
    assert {each["tier"] for each in load["tiers"]} >= {1, 2, 3}
    answer = await operators.ask("DELETE", way)
    assert answer.json == {"target": "order_lists", "was_set": True}
    assert not isinstance(site.gateway.admission.admit(features.ORDER_LISTS), Rejection)
    assert (await operators.ask("DELETE", way)).json["was_set"] is False


async def test_shedding_the_core_takes_two_people(operators: Wire, site: Site) -> None:
    way = "/v1/admin/modes/callbacks"
    assert (await operators.ask("PUT", way, order())).json["is_asked"] is True
    assert not isinstance(site.gateway.admission.admit(features.CALLBACKS), Rejection)
    alone = await operators.ask("POST", f"{way}/agreement")
    assert alone.status == 403
    same = Wire(operators.host, operators.port, await site.token_for("operate"))
    assert (await same.ask("POST", f"{way}/agreement")).status == 403
    token = await site.token_for("operate", name="another")
    second = Wire(operators.host, operators.port, token)
    assert (await second.ask("POST", f"{way}/agreement")).status == 200
    assert isinstance(site.gateway.admission.admit(features.CALLBACKS), Rejection)
    assert (await second.ask("POST", f"{way}/agreement")).status == 404


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"\xff", 400, None),
        (b"[]", 422, "body"),
        (b"null", 422, "body"),
        (order(mode="maybe"), 422, "mode"),
        (order(for_s=0), 422, "for_s"),
        (order(for_s=14401), 422, "for_s"),
        (order(for_s="60"), 422, "for_s"),
        (order(reason=""), 422, "reason"),
        (order(reason="a\x00"), 422, "reason"),
        (order(more=1), 422, "more"),
        (b'{"mode":"shed","for_s":1e400,"reason":"r"}', 422, "for_s"),
        (b'{"mode":"shed","for_s":NaN,"reason":"r"}', 400, None),
        (b'{"mode":"shed"}', 422, "reason"),
        (b"x" * 70_000, 413, None),
    ],
)
async def test_an_invalid_override_is_explained_and_changes_nothing(
    operators: Wire, site: Site, body: bytes, status: int, field: str | None
) -> None:
    answer = await operators.ask("PUT", "/v1/admin/modes/order_lists", body)
    assert answer.status == status
    assert field is None or answer.fields == [field]
    assert await site.gateway.override_store.every() == []


async def test_unknown_targets_and_plans_are_not_found(operators: Wire) -> None:
    for target in ("nothing", "tier9", "%00", "callbacks%2F"):
        answer = await operators.ask("PUT", f"/v1/admin/modes/{target}", order())
        assert answer.status == 404
    assert (await operators.ask("GET", "/v1/orders")).status == 404
    assert (await operators.ask("PATCH", "/v1/admin/modes")).status == 405


@pytest.mark.parametrize("role", ["ingest", "query", "query_pii"])
async def test_other_roles_are_forbidden(operators: Wire, site: Site, role: str) -> None:
    stranger = Wire(operators.host, operators.port, await site.token_for(role))  # type: ignore[arg-type]
    for method, way in (
        ("GET", "/v1/admin/load"),
        ("GET", "/v1/admin/modes"),
        ("PUT", "/v1/admin/modes/order_lists"),
        ("POST", "/v1/admin/modes/callbacks/agreement"),
        ("DELETE", "/v1/admin/modes/order_lists"),
    ):
        assert (await stranger.ask(method, way)).status == 403
        assert (await stranger.ask(method, way, has_key=False)).status == 401


async def test_the_public_listener_has_no_admin_routes(wire: Wire) -> None:
    assert (await wire.ask("GET", "/v1/admin/load")).status == 404


async def test_its_document_names_its_routes(operators: Wire) -> None:
    document = (await operators.ask("GET", "/openapi.json")).json
    assert "/v1/admin/modes/{target}/agreement" in document["paths"]
    page = await operators.ask("GET", "/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert b"/v1/admin/modes/" in page.body.replace(b"<wbr>", b"")
    # A client may tell signals apart by the document alone.
    load = document["components"]["schemas"]["ProcessLoad"]["properties"]
    assert load["signal"]["enum"] == sorted(get_args(Signal))


def steps(**changes: object) -> bytes:
    now = datetime.now(UTC)
    step = {
        "target": "tier3", "mode": "shed", "reason": "sale",
        "from_at": now.isoformat(), "until": (now + timedelta(hours=1)).isoformat(),
    }  # fmt: skip
    return json.dumps({"steps": [{**step, **changes}]}).encode()


async def test_a_plan_is_set_followed_and_dropped(operators: Wire, site: Site) -> None:
    way = "/v1/admin/plans/sale"
    assert (await operators.ask("PUT", way, steps())).json == {"name": "sale", "was_there": False}
    assert isinstance(site.gateway.admission.admit(features.ORDER_LISTS), Rejection)
    (step,) = (await operators.ask("GET", "/v1/admin/plans")).json["steps"]
    assert (step["plan"], step["target"]) == ("sale", "tier3")
    assert (await operators.ask("PUT", way, steps(mode="early"))).json["was_there"] is True
    assert not isinstance(site.gateway.admission.admit(features.ORDER_LISTS), Rejection)
    assert (await operators.ask("DELETE", way)).status == 200
    assert (await operators.ask("DELETE", way)).status == 404


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"target": "callbacks"}, "steps[0].target"),
        ({"target": "nothing"}, "steps[0].target"),
        ({"until": "2020-01-01T00:00:00Z"}, "steps[0].until"),
        ({"from_at": "2020-01-01T00:00:00"}, "steps[0].from_at"),
        ({"from_at": "soon"}, "steps[0].from_at"),
        ({"more": 1}, "steps[0].more"),
        (b'{"steps":[]}', "steps"),
        (b"{}", "steps"),
    ],
)
async def test_an_invalid_plan_is_explained(
    operators: Wire, wrong: dict[str, object] | bytes, field: str
) -> None:
    body = wrong if isinstance(wrong, bytes) else steps(**wrong)
    answer = await operators.ask("PUT", "/v1/admin/plans/sale", body)
    assert (answer.status, answer.fields) == (422, [field])
    assert (await operators.ask("GET", "/v1/admin/plans")).json == {"steps": []}


async def test_the_name_of_a_plan_has_a_format(operators: Wire) -> None:
    for name in ("A", "a%20b", "%00", "x" * 65):
        assert (await operators.ask("PUT", f"/v1/admin/plans/{name}", steps())).status == 422
        assert (await operators.ask("DELETE", f"/v1/admin/plans/{name}")).status == 404
