"""The order of the run: what is measured when, with which servers."""

import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtest.bench import databases, servers
from loadtest.bench.servers import Addresses
from loadtest.deployment import new_secret
from loadtest.handoff import celery_worker, intake, latency, stored_attempts, tidegate_worker
from loadtest.handoff.intake import Intake
from loadtest.handoff.latency import Latency
from loadtest.handoff.tidegate_worker import Deployment
from loadtest.handoff.watching import Speed, receiving

#: Orders per second of the latency.
RATE = 200
#: Months that the log of attempts is kept by default.
KEPT_MONTHS = 3


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of the command."""

    events: int
    rounds: int
    seconds: int
    connections: int
    stored_attempts: int


class Findings(msgspec.Struct, kw_only=True):
    """Everything that was measured, as ``--json`` writes it."""

    events: int
    rounds: int
    seconds: int
    connections: int
    stored_attempts: int
    cores: int
    python: str
    #: (a) and (b), each with its figures round by round.
    celery: list[Speed] = []
    tidegate: list[Speed] = []
    latency: Latency | None = None
    #: Without a worker, and with one that hands on every order; round by round.
    intake_alone: list[Intake] = []
    intake_beside: list[Intake] = []
    #: The same two figures over a full log of attempts, beside those of an empty one.
    empty_speed: list[Speed] = []
    full_speed: list[Speed] = []
    empty_intake: list[Intake] = []
    full_intake: list[Intake] = []
    #: Seconds until the months that are too old were dropped.
    dropped_s: float | None = None


Say = Callable[[str], None]


def run(options: Options, say: Say) -> Findings:
    """Measure everything in turn. Blocks for minutes; raises ``CannotRun``.

    In turn, because a machine changes while it is measured: a ratio is taken within a round.
    Everything that was started is stopped in any case.
    """
    findings = Findings(
        events=options.events,
        rounds=options.rounds,
        seconds=options.seconds,
        connections=options.connections,
        stored_attempts=options.stored_attempts,
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
    )
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="handoff-")))
        say("starting PostgreSQL and Valkey (a temporary directory, fsync on)")
        addresses = stack.enter_context(servers.running(replica=False))
        if options.stored_attempts:
            _full(options, findings, addresses, scratch, say)
        else:
            _speed(options, findings, addresses, scratch, say)
            _latency(options, findings, addresses, scratch, say)
            _intake(options, findings, addresses, scratch, say)
    return findings


def _speed(
    options: Options, findings: Findings, addresses: Addresses, scratch: Path, say: Say
) -> None:
    with receiving(scratch) as warehouse:
        deployment = tidegate_worker.prepare("speed", addresses, scratch, warehouse=warehouse)
        tidegate_worker.place(deployment, options.events)
        for number in _rounds(options):
            celery = celery_worker.measure(
                options.events, warehouse=warehouse, redis_url=addresses.redis_url,
                secret=new_secret(), scratch=scratch,
            )  # fmt: skip
            findings.celery.append(celery)
            say(f"{number}, (a) Celery on Redis, requests: {_speed_text(celery)}")
            databases.checkpoint(addresses.admin_url)
            ours = tidegate_worker.measure(deployment, options.events, warehouse=warehouse)
            findings.tidegate.append(ours)
            say(f"{number}, (b) Tidegate, one worker: {_speed_text(ours)}")


def _latency(
    options: Options, findings: Findings, addresses: Addresses, scratch: Path, say: Say
) -> None:
    with receiving(scratch, is_keeping=True) as warehouse:
        deployment = tidegate_worker.prepare(
            "latency", addresses, scratch, warehouse=warehouse, topics=["order.paid"]
        )
        databases.checkpoint(addresses.admin_url)
        findings.latency = found = latency.measure(
            deployment, warehouse=warehouse, rate=RATE, seconds=options.seconds, prefix="p"
        )
        say(
            f"from the reply to a payment to the warehouse, {RATE} orders/s: "
            f"p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms"
        )


def _intake(
    options: Options, findings: Findings, addresses: Addresses, scratch: Path, say: Say
) -> None:
    with receiving(scratch) as warehouse:
        deployment = tidegate_worker.prepare("intake", addresses, scratch, warehouse=warehouse)
        for number in _rounds(options):
            for has_worker in (False, True):
                databases.checkpoint(addresses.admin_url)
                found = intake.measure(
                    deployment, warehouse=warehouse, has_worker=has_worker,
                    prefix=f"{'b' if has_worker else 'a'}{len(findings.intake_beside)}",
                    seconds=options.seconds, connections=options.connections,
                )  # fmt: skip
                (findings.intake_beside if has_worker else findings.intake_alone).append(found)
                beside = "beside a worker" if has_worker else "alone"
                say(f"{number}, intake {beside}: {_intake_text(found)}")
                if not has_worker:
                    _hand_on(deployment)


def _full(
    options: Options, findings: Findings, addresses: Addresses, scratch: Path, say: Say
) -> None:
    with receiving(scratch) as warehouse:
        both = [
            tidegate_worker.prepare(name, addresses, scratch, warehouse=warehouse)
            for name in ("empty", "full")
        ]
        for deployment in both:
            tidegate_worker.place(deployment, options.events)
        stored_attempts.fill(both[1], options.stored_attempts, say=say)
        for number in _rounds(options):
            for n, deployment in enumerate(both):
                label = "a full log" if n else "an empty log"
                databases.checkpoint(addresses.admin_url)
                speed = tidegate_worker.measure(deployment, options.events, warehouse=warehouse)
                (findings.full_speed if n else findings.empty_speed).append(speed)
                say(f"{number}, {label}: {_speed_text(speed)}")
                databases.checkpoint(addresses.admin_url)
                taken = intake.measure(
                    deployment, warehouse=warehouse, has_worker=True,
                    prefix=f"f{len(findings.full_intake)}", seconds=options.seconds,
                    connections=options.connections,
                )  # fmt: skip
                (findings.full_intake if n else findings.empty_intake).append(taken)
                say(f"{number}, {label}: {_intake_text(taken)}")
        findings.dropped_s = stored_attempts.drop_seconds(both[1], kept_months=KEPT_MONTHS)
        say(f"the months that are too old were dropped within {findings.dropped_s:.1f} s")


def _hand_on(deployment: Deployment) -> None:
    """Hand on what a gateway alone has left: the next measurement begins with an empty outbox."""
    with deployment.worker(settled_s=300.0):
        pass


def _rounds(options: Options) -> Iterator[str]:
    for number in range(1, options.rounds + 1):
        yield f"round {number} of {options.rounds}"


def _speed_text(found: Speed) -> str:
    return (
        f"{found.deliveries_per_s:,.0f} deliveries/s, {found.worker_cpu_us:,.0f} us of CPU each"
        f"{_noise(found.others_cores)}"
    )


def _intake_text(found: Intake) -> str:
    handed_on = f", {found.deliveries_per_s:,.0f} deliveries/s" if found.deliveries_per_s else ""
    return f"{found.orders_per_s:,.0f} orders/s{handed_on}{_noise(found.others_cores)}"


def _noise(others_cores: float) -> str:
    return f", others kept {others_cores:.1f} cores busy" if others_cores > 0.2 else ""
