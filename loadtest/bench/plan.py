"""The order of the run: who is measured when, with what running beside."""

import os
import platform
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtest.bench import closed_loop, contenders, databases, open_loop, servers
from loadtest.bench.acknowledgements import Kept, Sent, compare
from loadtest.bench.closed_loop import Closed
from loadtest.bench.contenders import LETTERS, TITLES, Contender, Name
from loadtest.bench.open_loop_generator import Latencies
from loadtest.bench.servers import Addresses


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the person at the keyboard chose."""

    only: tuple[Name, ...]
    seconds: int
    rounds: int
    connections: int
    openloop: bool
    replica: bool


class Findings(msgspec.Struct, kw_only=True):
    """Everything that was measured; ``--json`` writes it as it stands."""

    seconds: int
    rounds: int
    connections: int
    replica: bool
    cores: int
    python: str
    closed: dict[Name, list[Closed]]
    opened: dict[Name, list[Latencies]]
    kept: dict[Name, Kept]


Say = Callable[[str], None]


def run(options: Options, say: Say) -> Findings:
    """Measure everybody in turn, round after round. Blocks for minutes.

    In turn, because a machine changes while it is measured: a ratio is taken within a
    round. Raises ``CannotRun``; whatever was started is stopped in any case.
    """
    findings = Findings(
        seconds=options.seconds,
        rounds=options.rounds,
        connections=options.connections,
        replica=options.replica,
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        closed={name: [] for name in options.only},
        opened={},
        kept={},
    )
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        addresses = Addresses()
        if set(options.only) != {"bare"}:
            say("starting PostgreSQL and Valkey (a throw-away directory, fsync on)")
            addresses = stack.enter_context(servers.running(replica=options.replica))
        field = [contenders.prepare(name, addresses, scratch) for name in options.only]
        sent: dict[Name, list[Sent]] = {name: [] for name in options.only}
        for number in range(1, options.rounds + 1):
            for contender in field:
                _settle(contender, addresses)
                sent[contender.name] += _closed(contender, number, options, findings, scratch, say)
        for contender in field:
            # (b) is left out: it cannot keep up with 2,000 a second.
            if options.openloop and contender.name != "plain":
                _settle(contender, addresses)
                sent[contender.name] += _opened(contender, findings, scratch, say)
        for contender in field:
            if contender.database_url:
                stored = databases.stored(contender.database_url)
                findings.kept[contender.name] = compare(sent[contender.name], stored)
    return findings


def _settle(contender: Contender, addresses: Addresses) -> None:
    """Bring the servers to where this service would have them, with nothing left to write."""
    if contender.database_url:
        databases.checkpoint(addresses.admin_url)


def _closed(
    contender: Contender,
    number: int,
    options: Options,
    findings: Findings,
    scratch: Path,
    say: Say,
) -> list[Sent]:
    figures, sent = closed_loop.measure(
        contender,
        number=number,
        seconds=options.seconds,
        connections=options.connections,
        scratch=scratch,
    )
    findings.closed[contender.name].append(figures)
    say(f"round {number} of {options.rounds}, {_called(contender.name)}: {_progress(figures)}")
    return sent


def _opened(contender: Contender, findings: Findings, scratch: Path, say: Say) -> list[Sent]:
    say(f"latency at fixed rates, {_called(contender.name)}: about 45 s")
    findings.opened[contender.name], sent = open_loop.measure(contender, scratch=scratch)
    return sent


def _called(name: Name) -> str:
    return f"({LETTERS[name]}) {TITLES[name]}"


def _progress(figures: Closed) -> str:
    noise = f", others kept {figures.others_cores:.1f} cores busy"
    return (
        f"{figures.requests_per_s:,.0f} requests/s, p99 {figures.p99_ms:.1f} ms"
        f"{noise if figures.others_cores > 0.2 else ''}"
    )
