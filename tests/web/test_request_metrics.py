"""Seconds of requests by route and outcome: cheap, bounded, and as if each had been observed."""

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY, Histogram

from gateway.runtime import metrics as runtime_metrics
from gateway.web import metrics, outcomes, request_metrics
from gateway.web.problem_kinds import KINDS
from tests.support.site import Site
from tests.web.support import Wire, order_bytes


@given(st.lists(st.sampled_from([*metrics.REQUEST_BUCKETS_S]) | st.floats(0, 10), max_size=60))
def test_a_tally_adds_up_as_if_each_had_been_observed(seconds: list[float]) -> None:
    """The library has no public way to add many observations at once."""
    route = f"test.{uuid.uuid4().hex}"
    reference = Histogram("reference_seconds", "", buckets=metrics.REQUEST_BUCKETS_S, registry=None)
    tally = request_metrics.tally(route, 200, "ok")
    for n, each in enumerate(seconds):
        tally.add(each)
        reference.observe(each)
        if n == len(seconds) // 2:
            tally.publish()
    runtime_metrics.publish()
    found = {
        (sample.name.removeprefix("tidegate_request"), sample.labels.get("le")): sample.value
        for metric in metrics.REQUEST_S.collect()
        for sample in metric.samples
        if sample.labels["route"] == route and not sample.name.endswith("_created")
    }
    expected = {
        (sample.name.removeprefix("reference"), sample.labels.get("le")): sample.value
        for metric in reference.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }
    assert found == pytest.approx(expected)
    requests = {"route": route, "status": "200"}
    assert REGISTRY.get_sample_value("tidegate_requests_total", requests) == len(seconds)


def test_every_problem_has_an_outcome_that_is_no_success() -> None:
    found = {name: outcomes.outcome("any", kind.status) for name, kind in KINDS.items()}
    assert not {"ok", "replayed", "journaled"} & set(found.values())
    assert found["internal"] == "failed"
    assert found["quota-exceeded"] == "limited"
    assert found["unavailable"] == "unavailable"


def seconds_of(route: str, outcome: str) -> float:
    labels = {"route": route, "outcome": outcome}
    return REGISTRY.get_sample_value("tidegate_request_seconds_count", labels) or 0.0


async def test_a_submission_is_counted_with_its_outcome(both_paths: Wire) -> None:
    body = order_bytes()
    for sent, status, outcome in (
        (body, 201, "ok"),
        (body, 200, "replayed"),
        (json.dumps({**json.loads(body), "remark": "x"}).encode(), 409, "conflict"),
        (b"{}", 422, "invalid"),
    ):
        before = seconds_of("orders.submit", outcome)
        assert (await both_paths.submit(sent)).status == status
        assert seconds_of("orders.submit", outcome) == before + 1


async def test_a_rejection_after_the_parser_is_shed_and_not_unavailable(
    wire: Wire, site: Site
) -> None:
    breaker = site.gateway.admission.breakers[2]
    breaker.state, breaker.share = "shedding_all", 1.0
    path = f"/v1/orders/{uuid.uuid4()}"
    before = seconds_of("orders.one", "shed")
    # Its first bytes do not show what it is for: the head comes in two pieces.
    sent = wire.request("HEAD", path, headers=[("Connection", "close")])
    (answer,) = await wire.answers(sent)
    assert answer.status == 503
    assert seconds_of("orders.one", "shed") == before + 1


async def test_labels_are_bounded_whatever_is_asked(wire: Wire) -> None:
    for n in range(3):
        await wire.ask("GET", f"/nothing/{n}")
        await wire.ask("GET", f"/v1/orders/{uuid.uuid4()}")
        await wire.ask("POST", f"/v1/callbacks/nobody/{n}", b"{}")
    routes = {
        sample.labels["route"]
        for metric in metrics.REQUEST_S.collect()
        for sample in metric.samples
        if not sample.labels["route"].startswith("test.")
    }
    assert {"none", "orders.one", "callbacks"} <= routes
    assert not [route for route in routes if "/" in route]
