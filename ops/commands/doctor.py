"""`tidegate doctor`."""

import asyncio
import json
import os
import sys

import click
import msgspec

from gateway.runtime.clock import SystemClock
from ops.doctor import rounds
from ops.doctor.findings import Finding

_EPILOG = """\
\b
Examples:
  tidegate doctor
  tidegate doctor --json | jq '.findings[] | select(.level == "fail")'
With `tidegate up`, read its addresses first: . .tidegate/env
\b
Exits 0 when nothing failed (warnings are no failure), 1 otherwise.
"""
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("doctor", epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Check servers, settings, clock and keys, and say what to do.

    Looks and changes nothing. Run it where `serve` runs, with the same environment.
    """
    found = asyncio.run(rounds.look(dict(os.environ), SystemClock().now()))
    failed = sum(finding.level == "fail" for finding in found)
    if as_json:
        report = {"ok": not failed, "findings": msgspec.to_builtins(found)}
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _tell(found, failed)
    sys.exit(1 if failed else 0)


def _tell(found: list[Finding], failed: int) -> None:
    width = max(len(finding.check) for finding in found)
    for finding in found:
        level = click.style(finding.level.ljust(4), fg=_COLOURS[finding.level])
        click.echo(f"{level}  {finding.check.ljust(width)}  {finding.found}")
        if finding.advice:
            click.echo(f"{' ' * (width + 8)}-> {finding.advice}")
    warned = sum(finding.level == "warn" for finding in found)
    if failed or warned:
        click.echo(f"{failed} failed, {warned} warnings")
    else:
        click.echo("all is well")
