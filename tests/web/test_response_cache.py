"""While lists are shed a page of the last minute is served again, to its own key, with its age."""

import pytest

from gateway.web.response_cache import ANSWERS_PER_S_MAX, ResponseCache
from tests.support.fakes.clock import ManualClock
from tests.support.site import Site
from tests.web.support import Wire, order_bytes


def darken(site: Site) -> None:
    breaker = site.gateway.admission.breakers[3]
    breaker.state, breaker.share = "shedding_all", 1.0


async def test_a_cached_page_has_its_age(site: Site, wire: Wire) -> None:
    await wire.submit(order_bytes())
    before = await wire.ask("GET", "/v1/orders?limit=2")
    assert "age" not in before.headers
    darken(site)
    again = await wire.ask("GET", "/v1/orders?limit=2")
    assert (again.status, again.body) == (200, before.body)
    assert again.headers["age"] == "1"
    rejected = await wire.ask("GET", "/v1/orders?limit=3")
    assert (rejected.status, rejected.json["type"]) == (503, "/problems/overloaded")


async def test_no_key_gets_the_page_of_another_key(site: Site, wire: Wire) -> None:
    await wire.submit(order_bytes())
    await wire.ask("GET", "/v1/orders?limit=2")
    darken(site)
    masked = Wire(wire.host, wire.port, await site.token_for("query"))
    assert (await masked.ask("GET", "/v1/orders?limit=2")).status == 503
    no_reader = Wire(wire.host, wire.port, await site.token_for("ingest"))
    assert (await no_reader.ask("GET", "/v1/orders?limit=2")).status == 403
    assert (await wire.ask("GET", "/v1/orders?limit=2", has_key=False)).status == 401


async def test_an_exhausted_core_serves_nothing_from_the_cache(
    site: Site, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    await wire.ask("GET", "/v1/orders?limit=2")
    concurrency = site.gateway.admission.concurrency
    monkeypatch.setattr(concurrency, "limits", [0] * len(concurrency.limits))
    answer = await wire.ask("GET", "/v1/orders?limit=2")
    assert (answer.status, answer.json["context"]["reason"]) == (503, "slots")


async def test_a_cached_page_is_not_counted_as_a_rejection(site: Site, wire: Wire) -> None:
    await wire.ask("GET", "/v1/orders?limit=2")
    darken(site)
    admission = site.gateway.admission
    assert (await wire.ask("GET", "/v1/orders?limit=2")).status == 200
    # Once, by the decision of the dispatcher, and not on the first bytes as well.
    assert admission.rejections.take()["order_lists", "shed"] == 1


def test_a_page_is_cached_for_a_minute_and_ages() -> None:
    clock = ManualClock()
    cache = ResponseCache(clock=clock)
    cache.put("k", "/v1/orders", b"page", 0)
    clock.at_s += 0.5
    assert cache.get("k", "/v1/orders") == (b"page", 1)
    clock.at_s += 30.0
    assert cache.get("k", "/v1/orders") == (b"page", 31)
    assert cache.may_answer("/v1/orders")
    clock.at_s += 30.0
    assert cache.get("k", "/v1/orders") is None
    assert not cache.may_answer("/v1/orders")


def test_the_age_of_a_page_when_it_was_cached_counts() -> None:
    clock = ManualClock()
    cache = ResponseCache(clock=clock)
    cache.put("k", "/v1/orders", b"page", 55)
    clock.at_s += 6.0
    assert cache.get("k", "/v1/orders") is None


def test_answers_per_second_have_a_limit() -> None:
    clock = ManualClock()
    cache = ResponseCache(clock=clock)
    cache.put("k", "/v1/orders", b"page", 0)
    asked = [cache.may_answer("/v1/orders") for _ in range(ANSWERS_PER_S_MAX + 10)]
    assert asked.count(True) == ANSWERS_PER_S_MAX
    clock.at_s += 1.0
    assert cache.may_answer("/v1/orders")


def test_its_size_has_a_limit() -> None:
    cache = ResponseCache(clock=ManualClock())
    for n in range(5000):
        cache.put("k", f"/v1/orders?cursor={n}", b"x" * 200_000, 0)
    assert len(cache._pages) <= 256
    assert cache._bytes <= 16 * 1024 * 1024
    assert len(cache._until_s) <= 600
    cache.put("k", "/big", b"x" * 300_000, 0)
    assert cache.get("k", "/big") is None
