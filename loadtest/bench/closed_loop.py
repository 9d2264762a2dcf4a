"""One closed-loop measurement: a fixed number of connections, each with one request in flight."""

from pathlib import Path

import msgspec

from loadtest.bench import cpu, processes, wrk
from loadtest.bench.acknowledgements import Sent
from loadtest.bench.contenders import LETTERS, Contender

WARM_UP_S = 2


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one measurement. Only orders answered with a 2xx count."""

    accepted: int
    not_2xx: int
    socket_errors: int
    timeouts: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    service_cpu_us: float
    postgres_cpu_us: float
    valkey_cpu_us: float
    #: Cores that processes outside the benchmark kept busy meanwhile: noise.
    others_cores: float


def measure(
    contender: Contender, *, number: int, seconds: int, connections: int, scratch: Path
) -> tuple[Closed, list[Sent]]:
    """Start the service, warm it up, measure it, stop it; return also what was sent."""
    log = scratch / f"{contender.name}.log"
    with processes.serving(
        contender.module, contender.arguments, contender.environment, log
    ) as service:
        sent: list[Sent] = []

        def drive(prefix: str, for_s: int) -> wrk.Tally:
            tally = wrk.drive(
                service.port,
                token=contender.token,
                prefix=prefix,
                seconds=for_s,
                connections=connections,
                scratch=scratch,
            )
            # wrk disconnects with an order in flight on every connection; an order without a 2xx
            # may be stored all the same, for instance by a late commit.
            in_doubt = connections + tally.not_2xx + tally.socket_errors
            sent.append(Sent(prefix=prefix, accepted=tally.accepted, in_doubt=in_doubt))
            return tally

        letter = LETTERS[contender.name]
        drive(f"{letter}{number}w", WARM_UP_S)
        before = cpu.usage(service.pid)
        tally = drive(f"{letter}{number}", seconds)
        used = cpu.usage(service.pid).since(before)
    return _figures(tally, used), sent


def _figures(tally: wrk.Tally, used: cpu.Usage) -> Closed:
    def each_us(seconds: float) -> float:
        return 1e6 * seconds / max(tally.accepted, 1)

    return Closed(
        accepted=tally.accepted,
        not_2xx=tally.not_2xx,
        socket_errors=tally.socket_errors,
        timeouts=tally.timeouts,
        requests_per_s=tally.accepted / tally.seconds,
        p50_ms=tally.p50_ms,
        p99_ms=tally.p99_ms,
        service_cpu_us=each_us(used.service_s),
        postgres_cpu_us=each_us(used.postgres_s),
        valkey_cpu_us=each_us(used.valkey_s),
        others_cores=used.others_s / tally.seconds,
    )
