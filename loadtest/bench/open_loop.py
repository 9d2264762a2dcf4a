"""The open-loop measurements: latency at rates that do not depend on the service."""

from pathlib import Path

import msgspec

from loadtest.bench import closed_loop, processes
from loadtest.bench.acknowledgements import Sent
from loadtest.bench.contenders import LETTERS, Contender
from loadtest.bench.open_loop_generator import Latencies

#: Orders per second, and seconds; at least 300 orders, for a 99th percentile.
RATES = ((20, 15.0), (200, 10.0), (2000, 10.0))


def measure(contender: Contender, *, scratch: Path) -> tuple[list[Latencies], list[Sent]]:
    """Start the service, measure it at every rate after a warm-up at that rate, stop it."""
    log = scratch / f"{contender.name}.log"
    found: list[Latencies] = []
    sent: list[Sent] = []
    with processes.serving(
        contender.module, contender.arguments, contender.environment, log
    ) as service:
        for rate, seconds in RATES:
            prefix = f"{LETTERS[contender.name]}o{rate}"
            for run, for_s in ((f"{prefix}w", closed_loop.WARM_UP_S), (prefix, seconds)):
                latencies = generate(service.port, rate, for_s, contender.token, run)
                in_doubt = latencies.unanswered + latencies.not_2xx
                sent.append(Sent(prefix=run, accepted=latencies.accepted, in_doubt=in_doubt))
            found.append(latencies)
    return found, sent


def generate(port: int, rate: int, seconds: float, token: str, prefix: str) -> Latencies:
    """Send distinct orders at a fixed rate, from a process of its own; return the latencies."""
    arguments = ["--port", str(port), "--rate", str(rate), "--seconds", str(seconds)]
    printed = processes.run(
        "loadtest.bench.open_loop_generator",
        [*arguments, "--prefix", prefix],
        {"BENCH_TOKEN": token},
    )
    return msgspec.json.decode(printed, type=Latencies)
