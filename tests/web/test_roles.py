"""Roles: what a process serves, and that requests for the other role cost next to nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from gateway.domain.errors import Unavailable
from gateway.domain.features import OTHER
from gateway.runtime import settings as configuration
from gateway.runtime.settings import ProcessRole, Settings, SettingsError
from gateway.web import roles
from gateway.wiring import open_gateway
from tests.support.cable import cable_to
from tests.support.site import Site, serve
from tests.web.support import Answer, Wire, order_bytes

SUBMIT = ("POST", "/v1/orders")
CALL_BACK = ("POST", "/v1/callbacks/stripe/main")
LIST = ("GET", "/v1/orders?limit=1")
READ = ("GET", "/v1/orders/00000000-0000-7000-8000-000000000000")
EVENTS = ("GET", f"{READ[1]}/events")
CORE, QUERY = [SUBMIT, CALL_BACK], [LIST, READ, EVENTS]
COMMON = [("GET", path) for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs")]
#: How the document has them.
_TEMPLATES = {
    CALL_BACK[1]: "/v1/callbacks/stripe/{account}",
    READ[1]: "/v1/orders/{id}",
    EVENTS[1]: "/v1/orders/{id}/events",
}
LAST = ("Connection", "close")


def of_role(settings: Settings, role: ProcessRole) -> Settings:
    return msgspec.structs.replace(settings, role=role)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Wire]:
    async with open_gateway(settings) as gateway, serve(gateway) as site:
        yield Wire(site.host, site.port, site.token)
        assert gateway.admission.concurrency.in_use == 0, "a slot was not given back"


def names(answer: Answer, role: str) -> bool:
    """Whether the answer says that the path is served by this role."""
    body = answer.json
    return (
        answer.status == 421
        and body["type"] == "/problems/misdirected"
        and f"role `{role}`" in body["detail"]
    )


@pytest.mark.parametrize(
    ("role", "own", "others", "other"),
    [("core", CORE, QUERY, "query"), ("query", QUERY, CORE, "core")],
)
async def test_a_role_serves_its_routes_and_names_the_role_of_the_others(
    settings: Settings,
    role: ProcessRole,
    own: list[tuple[str, str]],
    others: list[tuple[str, str]],
    other: str,
) -> None:
    async with serving(of_role(settings, role)) as wire:
        for method, target in own + COMMON:
            assert (await wire.ask(method, target)).status != 421, target
        for method, target in others:
            for has_key in (True, False):
                assert names(await wire.ask(method, target, has_key=has_key), other), target
        # The document is of the whole, whichever process answers: a front sends each path right.
        known = (await wire.ask("GET", "/openapi.json")).json["paths"]
        assert {"/v1/orders", "/v1/callbacks/stripe/{account}", "/readyz"} <= known.keys()
        assert set(known["/v1/orders"]) == {"get", "post"}
        for method, target in others:
            template = _TEMPLATES.get(target, target.partition("?")[0])
            assert "421" in known[template][method.lower()]["responses"]


async def test_all_serves_everything(wire: Wire) -> None:
    for method, target in CORE + QUERY + COMMON:
        assert (await wire.ask(method, target)).status != 421, target


async def test_every_route_with_a_feature_is_served_by_one_of_the_roles(site: Site) -> None:
    for route in site.server._router.routes:
        served = [role for role in ("core", "query") if roles.serves(role, route)]
        is_common = route.feature in (None, OTHER)
        assert len(served) == (2 if is_common else 1), route.template
        assert roles.serves("all", route)


async def test_an_unknown_method_is_405_in_both(settings: Settings) -> None:
    for role in ("core", "query"):
        async with serving(of_role(settings, role)) as wire:
            answer = await wire.ask("DELETE", "/v1/orders")
            assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")
            assert (await wire.ask("POST", "/v1/callbacks/")).status == 404


async def test_the_connection_stays_usable_behind_a_misdirected_body(
    settings: Settings,
) -> None:
    async with serving(of_role(settings, "query")) as wire:
        post = wire.request(*SUBMIT, order_bytes())
        sent = post + wire.request(*LIST) + post + post + wire.request(*LIST, headers=[LAST])
        statuses = [answer.status for answer in await wire.answers(sent)]
        assert statuses == [421, 200, 421, 421, 200]
        # In pieces, so that the first bytes do not show the route: the dispatcher answers the same.
        reader, writer = await asyncio.open_connection(wire.host, wire.port)
        writer.write(post[:20])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(post[20:] + wire.request(*LIST, headers=[LAST]))
        received = await reader.read()
        assert received.count(b"HTTP/1.1 421 ") == 1
        assert received.count(b"HTTP/1.1 200 ") == 1
        writer.close()
        # A large one is not read to its end.
        (large,) = await wire.answers(wire.request(*SUBMIT, b" " * 100_000))
        assert names(large, "core")


async def test_the_query_role_needs_no_provider_secrets(settings: Settings) -> None:
    account = configuration.Account("stripe", "main", ["web"], ["env:NOT_SET_ANYWHERE"])
    changed = msgspec.structs.replace(settings, accounts=[account])
    async with serving(of_role(changed, "query")) as wire:
        assert (await wire.ask(*LIST)).status == 200
        assert names(await wire.ask(*CALL_BACK), "core")
    with pytest.raises(SettingsError, match="stripe/main"):
        async with serving(of_role(changed, "core")):
            pass


async def ready(wire: Wire) -> tuple[int, dict[str, str]]:
    (answer,) = await wire.answers(wire.request("GET", "/readyz", headers=[LAST]))
    return answer.status, json.loads(answer.body)["parts"]


async def test_the_query_role_is_ready_without_the_parts_of_the_core(settings: Settings) -> None:
    """Neither the journal nor Valkey is probed."""
    unavailable = msgspec.structs.replace(
        settings, redis_url="redis://127.0.0.1:1/0", journal_url="redis://127.0.0.1:1/0"
    )
    async with serving(of_role(unavailable, "query")) as wire:
        assert await ready(wire) == (
            200,
            {"postgres": "ok", "replica": "ok", "key ring": "ok"},
        )
        assert (await wire.ask(*LIST)).status == 200


async def test_the_query_role_is_ready_while_a_replica_answers(settings: Settings) -> None:
    async with cable_to(settings.database_url) as cable:
        behind = of_role(msgspec.structs.replace(settings, database_url=cable.url), "query")
        async with serving(behind) as wire:
            assert (await wire.ask(*LIST)).status == 200
            cable.cut()
            status, parts = await ready(wire)
            assert (status, parts["replica"]) == (200, "ok")
            assert parts["postgres"] != "ok"
            assert (await wire.ask(*LIST)).status == 200
            cable.mend()
        async with serving(msgspec.structs.replace(behind, replica_urls="")) as wire:
            cable.cut()
            # There is a journal for orders, but nothing to read from.
            assert (await ready(wire))[0] == 503
            cable.mend()


async def test_the_query_role_starts_without_the_primary_and_waits_for_it(
    settings: Settings,
) -> None:
    async with cable_to(settings.database_url) as cable:
        changed = msgspec.structs.replace(
            settings, database_url=cable.url, replica_urls="", redis_url="", journal_url=""
        )
        cable.cut()
        with pytest.raises(Unavailable):
            async with open_gateway(of_role(changed, "core")):
                pass
        async with open_gateway(of_role(changed, "query")) as gateway:
            cable.mend()
            async with serve(gateway) as site:
                wire = Wire(site.host, site.port, site.token)
                assert (await ready(wire))[0] == 200
                assert (await wire.ask(*LIST)).status == 200
