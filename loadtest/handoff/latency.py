"""From the reply to a payment's callback to the receipt at the warehouse, at a fixed rate."""

import time

import msgspec

from loadtest.bench import processes
from loadtest.errors import CannotRun
from loadtest.handoff.paying import Paid
from loadtest.handoff.tidegate_worker import Deployment
from loadtest.handoff.watching import Warehouse

_WARM_UP_S = 2
_SETTLED_S = 30.0
_POLL_INTERVAL_S = 0.1


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from the reply to the receipt; below 0 where the receipt came first."""

    orders_per_s: int
    paid: int
    received: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    #: How late the generator itself sent, and the reply to a request.
    sent_late_p99_ms: float
    replied_p99_ms: float


class _Order(msgspec.Struct):
    order_no: str


class _Data(msgspec.Struct):
    order: _Order


class _Event(msgspec.Struct):
    type: str
    data: _Data


def measure(
    deployment: Deployment, *, warehouse: Warehouse, rate: int, seconds: int, prefix: str
) -> Latency:
    """Measure with one gateway and one worker. The warehouse must keep what it receives.

    The worker's target must subscribe to ``order.paid``.
    """
    with deployment.gateway() as gateway, deployment.worker():
        _pay(deployment, gateway.port, rate, _WARM_UP_S, f"{prefix}w")
        deployment.settle()
        warehouse.forget()
        paid = _pay(deployment, gateway.port, rate, seconds, prefix)
        received_s = _received(warehouse, len(paid.replied_s))
        deployment.settle()
    waits_ms = sorted(
        1e3 * (received_s[order_no] - replied_s)
        for order_no, replied_s in paid.replied_s.items()
        if order_no in received_s
    )
    if not waits_ms:
        raise CannotRun("no paid order came to the receiver")
    return Latency(
        orders_per_s=rate,
        paid=len(paid.replied_s),
        received=len(waits_ms),
        p50_ms=_percentile(waits_ms, 0.50),
        p99_ms=_percentile(waits_ms, 0.99),
        max_ms=waits_ms[-1],
        sent_late_p99_ms=paid.sent.sent_late_p99_ms,
        replied_p99_ms=paid.sent.p99_ms,
    )


def _received(warehouse: Warehouse, count: int) -> dict[str, float]:
    """Return when each paid order was first received, once so many were or time is up."""
    deadline_s = time.monotonic() + _SETTLED_S
    while True:
        found: dict[str, float] = {}
        for delivery in warehouse.deliveries():
            event = msgspec.json.decode(delivery.body, type=_Event)
            if event.type == "order.paid":
                found.setdefault(event.data.order.order_no, delivery.at_s)
        if len(found) >= count or time.monotonic() > deadline_s:
            return found
        time.sleep(_POLL_INTERVAL_S)


def _pay(deployment: Deployment, port: int, rate: int, seconds: int, prefix: str) -> Paid:
    options = ["--port", str(port), "--rate", str(rate), "--seconds", str(seconds)]
    variables = {"BENCH_TOKEN": deployment.token, "BENCH_SECRET": deployment.payer_secret}
    printed = processes.run("loadtest.handoff.paying", [*options, "--prefix", prefix], variables)
    return msgspec.json.decode(printed, type=Paid)


def _percentile(ordered: list[float], fraction: float) -> float:
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]
