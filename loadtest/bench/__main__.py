"""The command: ``python -m loadtest.bench``."""

import signal
import sys
from typing import BinaryIO

import click

from loadtest.bench import contenders, cpu, plan, report, verdict, wrk
from loadtest.errors import CannotRun

_FLOOR_MISSED = 1
_COULD_NOT_RUN = 2
_INTERRUPTED = 130


@click.command(epilog="Exit status: 0 all floors held, 1 a floor was missed, 2 could not run.")
@click.option(
    "--seconds", type=click.IntRange(min=1), default=8, show_default=True,
    help="Length of one measurement, after a warm-up of 2 s.",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(min=1), default=3, show_default=True,
    help="How often each service is measured, in turn.",
)  # fmt: skip
@click.option(
    "--connections", type=click.IntRange(min=1), default=64, show_default=True,
    help="Connections of the closed loop.",
)  # fmt: skip
@click.option(
    "--only", type=click.Choice(list(contenders.LETTERS)), multiple=True,
    help="Measure this service only; repeatable. [default: all]",
)  # fmt: skip
@click.option("--openloop/--no-openloop", default=True, help="Latency at 20, 200 and 2,000/s.")
@click.option(
    "--replica/--no-replica", default=False,
    help="Give PostgreSQL one streaming replica, for (b) and (c) alike. [default: without]",
)  # fmt: skip
@click.option(
    "--json", "json_file", type=click.File("wb"),
    help="Write everything as JSON; '-' is the standard output, and the tables go to the error.",
)  # fmt: skip
def main(
    *,
    seconds: int,
    rounds: int,
    connections: int,
    only: tuple[contenders.Name, ...],
    openloop: bool,
    replica: bool,
    json_file: BinaryIO | None,
) -> None:
    r"""Measure Tidegate beside two other services, in one run and in turn.

    \b
    (a) bare aiohttp that reads the body and answers a constant: the cost of HTTP.
    (b) FastAPI, SQLAlchemy and a Redis SETNX, one commit a request: a conventional service.
    (c) Tidegate, one process: the full path of an order, committed before the answer, sealed.

    Needs wrk (Debian, Ubuntu: apt-get install wrk). PostgreSQL and two Valkeys are started
    in a temporary directory. Takes about four minutes.
    """
    options = plan.Options(
        only=tuple(name for name in contenders.LETTERS if name in only or not only),
        seconds=seconds,
        rounds=rounds,
        connections=connections,
        openloop=openloop,
        replica=replica,
    )
    # Also when a CI system ends it: the servers are stopped and their directory is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        wrk.require()
        cpu.require()
        findings = plan.run(options, _say)
    except CannotRun as reason:
        click.echo(f"bench: {reason}", err=True)
        sys.exit(_COULD_NOT_RUN)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    judged = verdict.judge(findings)
    if json_file is not None:
        json_file.write(report.as_json(findings, judged))
    to_error = json_file is not None and json_file.name == "<stdout>"
    click.echo("\n" + report.as_text(findings, judged), err=to_error)
    sys.exit(_FLOOR_MISSED if verdict.failed(judged) else 0)


def _say(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    main()
