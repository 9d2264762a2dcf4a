"""The command: ``python -m tests.bench_providers``."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

import click
from msgspec import Struct, to_builtins
from multidict import CIMultiDict

from gateway.providers import contract, registry
from ops.simulators import registry as simulated
from ops.simulators.contract import Posted, Trade
from tests.bench_providers.clients import CLIENTS

_SLOWER = 1
_SLICE_S = 0.1
_WARM_UP = 50


class Row(Struct, frozen=True):
    """Medians of one provider, in microseconds a message; no client, no comparison."""

    provider: str
    ours_us: float
    client: str | None
    client_us: float | None
    #: How often ours is done while the client's is done once.
    ratio: float | None


@click.command(epilog="Exit status: 0 ours is nowhere slower, 1 somewhere it is.")
@click.option(
    "--rounds", type=click.IntRange(min=1), default=9, show_default=True,
    help="How often both are timed, in turn; the medians count.",
)  # fmt: skip
@click.option("--only", multiple=True, type=click.Choice(simulated.names()), help="Just this one.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def main(rounds: int, only: tuple[str, ...], as_json: bool) -> None:
    """Time what it takes to verify and decode a callback, beside the independent clients.

    Both get the same bytes, the paid message of the simulated provider (of a courier: delivered),
    and do what they do with a callback: verify, decrypt, decode. Fetching a key or certificate is
    not measured.
    """
    rows = []
    for name in only or simulated.names():
        row = _measured(name, rounds)
        rows.append(row)
        if not as_json:
            _say(row)
    if as_json:
        click.echo(json.dumps(to_builtins(rows)))
    slower = [row.provider for row in rows if row.ratio is not None and row.ratio < 1]
    if slower:
        click.echo(f"slower than the client: {', '.join(slower)}", err=True)
        sys.exit(_SLOWER)


def _say(row: Row) -> None:
    text = f"{row.provider:18} {row.ours_us:8.1f} us"
    if row.client is not None:
        text += f"   {row.client:18} {row.client_us:8.1f} us   {row.ratio:6.1f} times as fast"
    click.echo(text)


def _measured(name: str, rounds: int) -> Row:
    module = simulated.provider(name)
    account = module.create()
    kind = next(kind for kind in ("paid", "delivered") if kind in module.KINDS)
    now = datetime.now(UTC)
    trade = Trade("B1", "SO-1001", Decimal(199), Decimal(9), module.CURRENCIES[0])
    posted = module.simulator(account).message(kind, trade, at=now)
    ours = _ours(name, account.secrets, account.options, posted, now)
    if name not in CLIENTS:
        _timed(ours, _WARM_UP)
        return Row(name, statistics.median(_slices(rounds, ours)[0]), None, None, None)
    client, made = CLIENTS[name]
    theirs = made(account, posted)
    if not theirs():
        raise click.ClickException(f"{client} does not believe the message of {name}")
    ours_us, theirs_us = _slices(rounds, ours, theirs)
    ratio = statistics.median(b / a for a, b in zip(ours_us, theirs_us, strict=True))
    return Row(name, statistics.median(ours_us), client, statistics.median(theirs_us), ratio)


def _ours(
    name: str,
    secrets: tuple[str, ...],
    options: Mapping[str, object],
    posted: Posted,
    now: datetime,
) -> Callable[[], object]:
    account = contract.Account("bench", secrets, options, ("web",))
    read = registry.build(name, account).read
    message = contract.Message(CIMultiDict(posted.headers), posted.body, now)
    return lambda: read(message)


def _slices(rounds: int, *readers: Callable[[], object]) -> list[list[float]]:
    """Time the readers in turn; return the microseconds of each by round."""
    counts = []
    for reader in readers:
        warm_s = _timed(reader, _WARM_UP) / 1e6
        counts.append(max(1, int(_SLICE_S / warm_s)))
    found: list[list[float]] = [[] for _ in readers]
    for _ in range(rounds):
        for n, (reader, count) in enumerate(zip(readers, counts, strict=True)):
            found[n].append(_timed(reader, count))
    return found


def _timed(reader: Callable[[], object], count: int) -> float:
    begun_s = time.perf_counter()
    for _ in range(count):
        reader()
    return (time.perf_counter() - begun_s) / count * 1e6


if __name__ == "__main__":
    main()
