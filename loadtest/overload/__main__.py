"""The command: ``python -m loadtest.overload``."""

import signal
import sys
from typing import BinaryIO

import click
import msgspec

from loadtest.errors import CannotRun
from loadtest.overload import caged_gateway, plan, report
from loadtest.overload.findings import Findings

_FLOOR_MISSED = 1
_COULD_NOT_RUN = 2
_INTERRUPTED = 130


@click.command(epilog="Exit status: 0 all floors held, 1 a floor was missed, 2 could not run.")
@click.option(
    "--cores", type=click.FloatRange(min=0.05, max=1.0), default=0.25, show_default=True,
    help="The part of a core that the gateway is limited to.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.IntRange(min=2), default=10, show_default=True,
    help="Length of one measurement, after a warm-up of 3 s.",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(min=1), default=3, show_default=True,
    help="Measurements of each.",
)  # fmt: skip
@click.option(
    "--quiet-seconds", type=click.IntRange(min=5), default=15, show_default=True,
    help="Length of each of five windows at 0.7 of the capacity.",
)  # fmt: skip
@click.option(
    "--json", "json_file", type=click.File("wb"),
    help="Write everything as JSON; '-' is the standard output, and the tables go to the error.",
)  # fmt: skip
def main(
    *, cores: float, seconds: int, rounds: int, quiet_seconds: int, json_file: BinaryIO | None
) -> None:
    """Measure the goodput of the gateway at two, five and ten times its capacity.

    Needs two cores, root, and writable control groups. PostgreSQL and two Valkeys are started in a
    temporary directory. Takes about half an hour.
    """
    options = caged_gateway.Options(
        cores=cores, seconds=seconds, rounds=rounds, quiet_s=quiet_seconds
    )
    # Also when a CI system ends it: the servers are stopped and their directory is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        findings = _measure(options)
    except CannotRun as reason:
        click.echo(f"bench-overload: {reason}", err=True)
        sys.exit(_COULD_NOT_RUN)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    judged = report.judge(findings)
    if json_file is not None:
        document = msgspec.to_builtins(findings) | {"verdict": msgspec.to_builtins(judged)}
        json_file.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    to_error = json_file is not None and json_file.name == "<stdout>"
    click.echo("\n" + report.as_text(findings, judged), err=to_error)
    sys.exit(0 if all(each.is_held for each in judged) else _FLOOR_MISSED)


def _measure(options: caged_gateway.Options) -> Findings:
    def say(line: str) -> None:
        click.echo(line, err=True)

    with caged_gateway.prepared(options, say) as bench:
        return plan.run(bench)


if __name__ == "__main__":
    main()
