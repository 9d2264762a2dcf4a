"""The command: ``python -m tests.torture``."""

import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ops.embedded.errors import CannotStart
from tests.torture import catalogue, results
from tests.torture.fault import Fault
from tests.torture.play_round import Options, play
from tests.torture.results import Round

_COULD_NOT_RUN, _INTERRUPTED = 2, 130
_EPILOG = """\
Exit status: 0 every promise holds and every control was detected, 1 otherwise, 2 some fault could
not be played here (the table says what this machine lacks).
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--only", multiple=True, metavar="NAME", help="Play the faults whose name contains this."
)
@click.option("--list", "is_list", is_flag=True, help="Print all faults, and exit.")
@click.option("--controls", is_flag=True, help="Play the controls too, which must be detected.")
@click.option("--quick", is_flag=True, help="Short faults: a few seconds, or 20 kills.")
@click.option("--cycles", type=click.IntRange(1, 100_000), help="Number of kills.  [default: 200]")
@click.option(
    "--seed", type=int, help="The seed of an earlier run, to repeat it.  [default: a new one]"
)
@click.option(
    "--json", "json_file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="Write all results to this file as JSON.",
)  # fmt: skip
@click.option(
    "--keep", "kept", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Keep the logs of each round in this directory.",
)  # fmt: skip
def main(
    *,
    only: Sequence[str],
    is_list: bool,
    controls: bool,
    quick: bool,
    cycles: int | None,
    seed: int | None,
    json_file: Path | None,
    kept: Path | None,
) -> None:
    """Break every part of a running Tidegate under load; compare the promises with the ledger.

    Each round starts its own servers (PostgreSQL, Valkey, the journal), gateways, workers and
    senders that retry without end; strikes, mends, and waits until all has recovered by itself.
    Then: nothing acknowledged missing, nothing twice, every 503 with Retry-After.
    """
    # Also when a CI system ends it: nothing is left running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = _choose(only, with_controls=controls or is_list)
    if is_list:
        for fault in chosen:
            click.echo(f"{fault.name}{' (control)' if fault.is_control else ''}\n    {fault.sees}")
        return
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    options = Options(
        seed=seed,
        is_quick=quick,
        cycles=cycles or (20 if quick else 200),
        say=lambda text: click.echo(f"    {text}", err=True),
        kept=kept,
    )
    played: list[Round] = []
    try:
        for n, fault in enumerate(chosen, 1):
            click.echo(f"[{n}/{len(chosen)}] {fault.name}", err=True)
            played.append(play(fault, options))
            click.echo(f"    {played[-1].verdict}, {played[-1].took_s:.0f} s", err=True)
    except CannotStart as reason:
        click.echo(f"torture: {reason}", err=True)
        sys.exit(_COULD_NOT_RUN)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    finally:
        if played:
            click.echo(f"{results.as_text(played)}\nseed {seed}")
            if json_file is not None:
                json_file.write_bytes(results.as_json(played, seed=seed))
    sys.exit(results.exit_status(played))


def _choose(names: Sequence[str], *, with_controls: bool) -> list[Fault]:
    """Return the faults to play; controls only when ``with_controls`` or named."""
    everything = list(catalogue.faults().values())
    for name in names:
        if not any(name in fault.name for fault in everything):
            raise click.BadParameter(f"no fault is called {name!r}: --list shows them all")
    if names:
        return [fault for fault in everything if any(name in fault.name for name in names)]
    return [fault for fault in everything if with_controls or not fault.is_control]


if __name__ == "__main__":
    main()
