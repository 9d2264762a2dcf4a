"""The main job in its shortest form."""

from tests.support.site import Site


async def test_an_order_is_committed_before_its_201(site: Site, order_json: bytes) -> None:
    status, answer = await site.submit(order_json)
    assert status == 201
    assert answer["status"] == "pending_payment"
    stored = await site.gateway.stores.primary.fetchval("SELECT id::text FROM orders")
    assert stored == answer["id"]


async def test_a_repeat_gets_the_original_result(site: Site, order_json: bytes) -> None:
    _, first = await site.submit(order_json)
    status, second = await site.submit(order_json)
    assert (status, second) == (200, first)
