"""The command: ``python -m loadtest.handoff``."""

import signal
import sys
from typing import BinaryIO

import click

from loadtest.bench import cpu, wrk
from loadtest.bench.verdict import failed
from loadtest.errors import CannotRun
from loadtest.handoff import plan, report, verdict

_FLOOR_MISSED, _COULD_NOT_RUN, _INTERRUPTED = 1, 2, 130
_EVENTS, _EVENTS_QUICK = 10_000, 2_000
_ROUNDS, _SECONDS, _SECONDS_QUICK = 3, 10, 3


@click.command(epilog="Exit status: 0 all floors held, 1 a floor was missed, 2 could not run.")
@click.option(
    "--events", type=click.IntRange(min=1), help=f"Staged events a round.  [default: {_EVENTS:,}]"
)
@click.option(
    "--rounds", type=click.IntRange(min=1), help=f"How often, in turn.  [default: {_ROUNDS}]"
)
@click.option(
    "--seconds", type=click.IntRange(min=1),
    help=f"Length of the latency and of each measurement of the intake.  [default: {_SECONDS}]",
)  # fmt: skip
@click.option(
    "--connections", type=click.IntRange(min=1), default=64, show_default=True,
    help="Connections of the intake's closed loop.",
)  # fmt: skip
@click.option("--quick", is_flag=True, help="One short round of everything.")
@click.option(
    "--stored-attempts", type=click.IntRange(min=0), default=0, metavar="N",
    help="Measure over a log of N delivered attempts beside an empty one, and nothing else.",
)  # fmt: skip
@click.option(
    "--json", "json_file", type=click.File("wb"),
    help="Write everything as JSON; '-' is the standard output, and the tables go to the error.",
)  # fmt: skip
def main(
    *,
    events: int | None,
    rounds: int | None,
    seconds: int | None,
    connections: int,
    quick: bool,
    stored_attempts: int,
    json_file: BinaryIO | None,
) -> None:
    """Measure the hand-off beside a plain team's stack, in one run and in turn.

    (a) Celery on Redis with requests: a task per event, signed by the official library.

    (b) Tidegate, one worker: relay, order per order, signed webhooks, a log of attempts.

    Both deliver to the same fast receiver. Then: how long it takes from the reply to a payment to
    the warehouse, and what the worker costs the intake. Needs wrk (Debian, Ubuntu: apt-get install
    wrk) and the development dependencies. Takes about five minutes.
    """
    options = plan.Options(
        events=events or (_EVENTS_QUICK if quick else _EVENTS),
        rounds=rounds or (1 if quick else _ROUNDS),
        seconds=seconds or (_SECONDS_QUICK if quick else _SECONDS),
        connections=connections,
        stored_attempts=stored_attempts,
    )
    # Also when a CI system ends it: the servers are stopped and their directory is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        wrk.require()
        cpu.require()
        findings = plan.run(options, lambda line: click.echo(line, err=True))
    except CannotRun as reason:
        click.echo(f"bench-handoff: {reason}", err=True)
        sys.exit(_COULD_NOT_RUN)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    judged = verdict.judge(findings)
    if json_file is not None:
        json_file.write(report.as_json(findings, judged))
    to_error = json_file is not None and json_file.name == "<stdout>"
    click.echo("\n" + report.as_text(findings, judged), err=to_error)
    sys.exit(_FLOOR_MISSED if failed(judged) else 0)


if __name__ == "__main__":
    main()
