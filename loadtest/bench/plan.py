"""The order of the run: which service is measured when, with which servers."""

import os
import platform
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtest.bench import closed_loop, contenders, databases, open_loop, servers
from loadtest.bench.acknowledgements import Promises, Sent, compare
from loadtest.bench.closed_loop import Closed
from loadtest.bench.contenders import LETTERS, TITLES, Contender, Name
from loadtest.bench.open_loop_generator import Latencies
from loadtest.bench.servers import Addresses


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of the command."""

    only: tuple[Name, ...]
    seconds: int
    rounds: int
    connections: int
    openloop: bool
    replica: bool


class Findings(msgspec.Struct, kw_only=True):
    """Everything that was measured, as ``--json`` writes it."""

    seconds: int
    rounds: int
    connections: int
    replica: bool
    cores: int
    python: str
    closed: dict[Name, list[Closed]]
    opened: dict[Name, list[Latencies]]
    kept: dict[Name, Promises]


Say = Callable[[str], None]


def run(options: Options, say: Say) -> Findings:
    """Measure the services in turn, round after round. Blocks for minutes.

    In turn, because a machine changes while it is measured: a ratio is taken within a round. Raises
    ``CannotRun``; everything that was started is stopped in any case.
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
            say("starting PostgreSQL and Valkey (a temporary directory, fsync on)")
            addresses = stack.enter_context(servers.running(replica=options.replica))
        prepared = [contenders.prepare(name, addresses, scratch) for name in options.only]
        sent: dict[Name, list[Sent]] = {name: [] for name in options.only}
        for number in range(1, options.rounds + 1):
            for contender in prepared:
                _settle(contender, addresses)
                sent[contender.name] += _closed(contender, number, options, findings, scratch, say)
        for contender in prepared:
            # (b) is left out: it cannot keep up with 2,000 a second.
            if options.openloop and contender.name != "plain":
                _settle(contender, addresses)
                sent[contender.name] += _opened(contender, findings, scratch, say)
        for contender in prepared:
            if contender.database_url:
                stored = databases.stored(contender.database_url)
                findings.kept[contender.name] = compare(sent[contender.name], stored)
    return findings


def _settle(contender: Contender, addresses: Addresses) -> None:
    """Have the servers write everything that earlier measurements left to write."""
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
    say(f"round {number} of {options.rounds}, {_label(contender.name)}: {_progress(figures)}")
    return sent


def _opened(contender: Contender, findings: Findings, scratch: Path, say: Say) -> list[Sent]:
    say(f"latency at fixed rates, {_label(contender.name)}: about 45 s")
    findings.opened[contender.name], sent = open_loop.measure(contender, scratch=scratch)
    return sent


def _label(name: Name) -> str:
    return f"({LETTERS[name]}) {TITLES[name]}"


def _progress(figures: Closed) -> str:
    noise = f", others kept {figures.others_cores:.1f} cores busy"
    return (
        f"{figures.requests_per_s:,.0f} requests/s, p99 {figures.p99_ms:.1f} ms"
        f"{noise if figures.others_cores > 0.2 else ''}"
    )
