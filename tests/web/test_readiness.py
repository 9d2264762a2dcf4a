"""Readiness: each part that a process can use is ok, not configured, or says what is wrong."""

import msgspec

from gateway.runtime.settings import Settings
from gateway.wiring import open_gateway
from ops.harness.ports import free_port
from tests.support.site import Site, serve
from tests.web.support import order_bytes

BARE = {"redis_url": "", "journal_url": "", "replica_urls": "", "inventory_url": ""}


async def parts(site: Site) -> dict[str, str]:
    async with site.client.get("/readyz") as answer:
        assert answer.status == 200
        found: dict[str, str] = (await answer.json())["parts"]
        return found


async def test_what_is_not_configured_is_not_called_ok(settings: Settings) -> None:
    bare = msgspec.structs.replace(settings, **BARE)
    async with open_gateway(bare) as gateway, serve(gateway) as site:
        assert await parts(site) == {
            "postgres": "ok",
            "key ring": "ok",
            "journal": "not configured",
            "redis": "not configured",
            "replica": "not configured",
            "inventory": "not configured",
        }


async def test_a_process_that_only_reads_has_the_parts_that_it_reads_from(
    settings: Settings,
) -> None:
    bare = msgspec.structs.replace(settings, **BARE, role="query")
    async with open_gateway(bare) as gateway, serve(gateway) as site:
        assert await parts(site) == {
            "postgres": "ok",
            "key ring": "ok",
            "replica": "not configured",
        }


async def test_an_inventory_is_not_ok_while_too_many_questions_fail(settings: Settings) -> None:
    nobody = f"http://127.0.0.1:{free_port('127.0.0.1')}/stock"
    # No replica: it may lag for a moment behind a database that is new.
    asking = msgspec.structs.replace(settings, inventory_url=nobody, replica_urls="")
    async with open_gateway(asking) as gateway, serve(gateway) as site:
        before = await parts(site)
        assert before == {
            "postgres": "ok",
            "key ring": "ok",
            "journal": "ok",
            "redis": "ok",
            "replica": "not configured",
            "inventory": "ok",
        }
        for _ in range(10):
            status, _ = await site.submit(order_bytes())
            assert status == 201
        after = await parts(site)
        assert after["inventory"] == "does not answer; orders are accepted unchecked"
        assert {**after, "inventory": "ok"} == before
