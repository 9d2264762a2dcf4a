"""The command: ``python -m loadtest.demo``."""

import asyncio
import secrets
import signal
import sys
import tempfile
from pathlib import Path

import click

from loadtest import deployment, handoff_checks, ledger_contents, payers, sending, verify
from loadtest.demo import plan, report
from loadtest.demo.drive import drive
from loadtest.deployment import Deployment
from loadtest.errors import CannotRun
from loadtest.handoff import recorder
from ops.embedded.report import Terminal

_BROKEN, _COULD_NOT_RUN, _INTERRUPTED = 1, 2, 130
#: Seconds for the sweeper to match early payments, and for the replica to catch up.
_SETTLE_S = 15.0
#: Seconds for the worker to start; it takes one on a quiet machine.
_WORKER_S = 120.0
#: Seconds without a delivery after which none is awaited any more.
_HANDED_ON_S = 30.0


@click.command(epilog="Exit status: 0 every check holds, 1 one does not, 2 could not run.")
@click.option(
    "--orders", "count", type=click.IntRange(1, 100_000), default=1000, show_default=True,
    help="Orders to send, each with its payment.",
)  # fmt: skip
@click.option(
    "--connections", type=click.IntRange(2, 1000), default=50, show_default=True,
    help="Connections to send over.",
)  # fmt: skip
@click.option(
    "--seed", type=int, help="The seed of an earlier run, to repeat it.  [default: a new one]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@click.option("--keep", is_flag=True, help="Keep the database and logs, and print their directory.")
def main(*, count: int, connections: int, seed: int | None, as_json: bool, keep: bool) -> None:
    """Send orders with their payments to a Tidegate of its own, then compare.

    Starts PostgreSQL with a replica, two Valkeys, one gateway, one worker and a warehouse that is
    told of every change. A third of the
    callbacks is signed by Stripe's own library, the others are simulated: Alipay and a sender of
    Standard Webhooks. A tenth of all messages is sent twice, some payments come before their order,
    some are parts, some too much, some forged; refunds fail, payments are disputed, orders leave in
    two parcels, have taxes, no address or no price. At the end every answer is compared with what
    is stored.
    """
    # Also when a CI system ends it: the servers are stopped and their directory is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    state_dir = Path(tempfile.mkdtemp(prefix="tidegate-kept-")) if keep else None
    try:
        findings = run(count=count, connections=connections, seed=seed, state_dir=state_dir)
    except CannotRun as reason:
        click.echo(f"demo: {reason}", err=True)
        sys.exit(_COULD_NOT_RUN)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    click.echo(report.as_json(findings) if as_json else "\n" + report.as_text(findings))
    if state_dir is not None:
        click.echo(
            f"Kept in {state_dir}: logs in {state_dir / 'log'}; to inspect the data:\n"
            f"  TIDEGATE_CONFIG={state_dir / 'tidegate.toml'} tidegate up --state-dir {state_dir}",
            err=True,
        )
    sys.exit(0 if findings.ok else _BROKEN)


def run(*, count: int, connections: int, seed: int, state_dir: Path | None) -> report.Findings:
    """Start a deployment, send, compare. Raises ``CannotRun``; nothing is left running."""
    # Progress goes to the standard error: the output is the report.
    reporter = Terminal(sys.stderr)
    paying = payers.create()
    drawn = plan.draw(count, paying, seed=seed)
    with deployment.running(
        paying, account_name=sending.ACCOUNT_NAME, reporter=reporter, state_dir=state_dir
    ) as deployed:
        return asyncio.run(_send_and_compare(drawn, deployed, connections, seed, reporter))


async def _send_and_compare(
    drawn: plan.Plan, deployed: Deployment, connections: int, seed: int, reporter: Terminal
) -> report.Findings:
    with reporter.step("waiting for the worker"):
        await handoff_checks.known(deployed.database_url, deployment.TARGET, within_s=_WORKER_S)
    reporter.say(f"sending {drawn.attempts:,} messages over {connections} connections")
    seconds = await drive(drawn, deployed, connections=connections, say=reporter.say)
    with reporter.step("waiting for sweeper and replica"):
        settled_s = await ledger_contents.settle(
            deployed.database_url, deployed.replica_url, within_s=_SETTLE_S
        )
    with reporter.step("waiting for the warehouse"):
        await handoff_checks.settle(deployed.database_url, deployment.TARGET, within_s=_HANDED_ON_S)
        # What was written meanwhile is on the replica too.
        await ledger_contents.settle(
            deployed.database_url, deployed.replica_url, within_s=_SETTLE_S
        )
    with reporter.step("comparing"):
        stored = await ledger_contents.read_from(deployed.database_url)
        checks = verify.verify(drawn.history, stored)
        handed_on = await handoff_checks.read_from(deployed.database_url, deployment.TARGET)
        receipts = recorder.read(deployed.receipts)
        checks += handoff_checks.verify(handed_on, receipts)
        checks.append(handoff_checks.paid(stored.orders, receipts))
        primary = await ledger_contents.table_digests(deployed.database_url)
        checks += verify.compare(primary, await ledger_contents.table_digests(deployed.replica_url))
    return report.Findings(
        seed=seed,
        connections=connections,
        attempts=drawn.attempts,
        seconds=seconds,
        settled_s=settled_s,
        drawn=drawn.drawn,
        statuses=drawn.history.statuses(),
        checks=checks,
    )


if __name__ == "__main__":
    main()
