"""How many orders a gateway takes, alone and beside a worker that hands them on."""

from contextlib import ExitStack

import msgspec

from loadtest.bench import cpu, wrk
from loadtest.handoff.tidegate_worker import Deployment
from loadtest.handoff.watching import Warehouse

_WARM_UP_S = 2
#: Seconds that a worker may take to hand on what came in during a measurement.
_DRAINED_S = 300.0


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one measurement."""

    orders_per_s: float
    p99_ms: float
    not_2xx: int
    #: Handed on meanwhile: little or nothing on a busy machine, where a worker steps back.
    deliveries_per_s: float
    worker_cores: float
    others_cores: float


def measure(
    deployment: Deployment, *, warehouse: Warehouse, has_worker: bool, prefix: str, seconds: int,
    connections: int,
) -> Intake:  # fmt: skip
    """Measure a closed loop of orders; hand on afterwards what is left."""
    with ExitStack() as stack:
        gateway = stack.enter_context(deployment.gateway())
        worker = stack.enter_context(deployment.worker()) if has_worker else 0

        def drive(run: str, for_s: int) -> wrk.Tally:
            return wrk.drive(
                gateway.port, token=deployment.token, prefix=run, seconds=for_s,
                connections=connections, scratch=deployment.scratch,
            )  # fmt: skip

        drive(f"{prefix}w", _WARM_UP_S)
        warehouse.forget()
        before = cpu.usage(worker)
        tally = drive(prefix, seconds)
        used = cpu.usage(worker).since(before)
        received = warehouse.received()
        if has_worker:
            deployment.settle(within_s=_DRAINED_S)
    return Intake(
        orders_per_s=tally.accepted / tally.seconds,
        p99_ms=tally.p99_ms,
        not_2xx=tally.not_2xx + tally.socket_errors,
        deliveries_per_s=received.count / tally.seconds,
        worker_cores=used.service_s / tally.seconds,
        others_cores=used.others_s / tally.seconds,
    )
