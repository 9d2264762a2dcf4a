"""`tidegate rules`: screening rules, read, listed and tried."""

import asyncio
import functools
import hashlib
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import msgspec

from gateway.domain import orders, validation
from gateway.domain.errors import Invalid
from gateway.domain.placing import Placement
from gateway.domain.screening import Finding, Screened
from gateway.domain.screening_trial import Trial
from gateway.intake import channel_policies, screening
from gateway.runtime import file_faults, settings_rules, settings_source
from gateway.runtime.clock import SystemClock
from gateway.runtime.ids import UUIDv7
from gateway.runtime.settings import Settings
from gateway.runtime.settings_rules import Rule
from gateway.stores.postgres import key_ring
from gateway.stores.postgres.orders_to_screen import OrdersToScreen
from ops import connections, effective, tables
from ops.failures import Failure, Wrong

_LAST_MAX = 100_000
_PAGE = 500
_ORDER_BYTES_MAX = 1024 * 1024

_EPILOG = """\
\b
Examples:
  tidegate rules check
  tidegate rules try order.json
"""


@click.group("rules", epilog=_EPILOG)
def command() -> None:
    """Check screening rules, and try them on orders."""


@command.command(
    "list",
    epilog="""\
\b
Example:
  tidegate rules list
\b
Exits 0, 2 when a setting or a rule is wrong.
""",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@tables.wide_option
def list_(as_json: bool, wide: bool) -> None:
    """List the rules in the order in which they are tried."""
    loaded = effective.load_without_database()
    shown = [settings_rules.shown(rule) for rule in loaded.rules]
    if as_json:
        click.echo(msgspec.json.encode(shown))
        return
    if not shown:
        click.echo("no rules are configured: see the guide to screening", err=True)
        return
    tables.table(
        ("RULE", "KIND", "CHANNELS", "DOES", "BY"),
        [
            (
                rule.name,
                rule.kind,
                ", ".join(rule.channels) or "all",
                _does(rule),
                ", ".join(f"{key} {_text(value)}" for key, value in _by(fields).items()),
            )
            for rule, fields in zip(loaded.rules, shown, strict=True)
        ],
        wide=wide,
        spare=("CHANNELS",),
    )


@command.command(
    "check",
    epilog="""\
\b
Example:
  tidegate rules check && kill -HUP PID
\b
Exits 0, 2 when a rule is wrong: the message names it.
""",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(as_json: bool) -> None:
    """Read rules, their files and their expressions, as a start or a reload would."""
    loaded = effective.load_without_database()
    rules = screening.load(loaded).rules
    if as_json:
        click.echo(msgspec.json.encode({"rules": rules.names}))
        return
    click.echo(f"{len(rules.names)} rules, all well")


@command.command(
    "try",
    epilog="""\
\b
Examples:
  tidegate rules try order.json
  tidegate rules try --last 10000
  tidegate rules try --last 1000 --json | jq .became
\b
Nothing is written, and nothing private is printed. Of stored orders only the orders themselves
count for limits, and whether one came with its payment or from a shop is not known any more.
\b
Exits 0 whatever the rules find, 1 when the order is not valid or the database is unavailable,
2 when an option, a setting or a rule is wrong.
""",
)
@click.argument("order", required=False, type=click.Path(allow_dash=True, dir_okay=False))
@click.option(
    "--last",
    type=click.IntRange(1, _LAST_MAX),
    help="Try the newest stored orders, so many of them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@tables.wide_option
def try_(order: str | None, last: int | None, as_json: bool, wide: bool) -> None:
    """Say what the rules would do to ORDER, a file as POST /v1/orders takes it, or - for stdin."""
    if (order is None) == (last is None):
        raise Wrong("give the file of an order, or --last N for stored ones")
    if last is not None:
        loaded = settings_source.load()
        _print_trial(*asyncio.run(_tried(loaded, last)), as_json=as_json, wide=wide)
        return
    assert order is not None, "one of both is given"
    loaded = effective.load_without_database()
    trial = Trial(screening.load(loaded), phone_index=_index)
    placement = _placement(order, loaded)
    began_s = time.perf_counter()
    screened = trial.screen(placement)
    took_us = round((time.perf_counter() - began_s) * 1e6, 1)
    found, became = trial.count(screened, placement.received_at)
    _print_order(screened, found, became, took_us, as_json=as_json, wide=wide)


def _index(phone: str) -> bytes:
    # Nothing is stored: any index does that tells one number from another.
    return hashlib.sha256(phone.encode()).digest()[:16]


def _placement(path: str, loaded: Settings) -> Placement:
    """Read and check an order. Raises ``Failure`` with what is wrong with it."""
    try:
        body = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as exc:
        raise Failure(f"{path} cannot be read: {file_faults.reason(exc)}") from exc
    if len(body) > _ORDER_BYTES_MAX:
        raise Failure(f"{path} has more than {_ORDER_BYTES_MAX} bytes")
    policies, now = channel_policies.of(loaded), SystemClock().now()
    try:
        sent = orders.decode(body)
        policy = policies.get(sent.channel)
        checked, phone = validation.check(
            sent,
            channels=policies,
            now=now,
            needs_recipient=policy is not None and policy.recipient == "required",
            takes_payment=policy is not None and policy.paid_by == "platform",
        )
    except msgspec.MsgspecError as exc:
        raise Failure(f"{path} is not an order: {exc}") from exc
    except Invalid as exc:
        faults = "; ".join(f"{fault.field} {fault.reason}" for fault in exc.faults)
        raise Failure(f"{path} would be rejected: {faults}") from exc
    return Placement(
        id=UUIDv7()(),
        submission=checked,
        raw=b"",
        phone=phone,
        request_id=None,
        payload_digest=b"",
        exact=b"",
        lookalike=b"",
        same_goods=b"",
        policy=policies[checked.channel],
        trigger="",
        received_at=now,
    )


def _print_order(
    screened: Screened,
    found: list[Finding],
    became: str,
    took_us: float,
    *,
    as_json: bool,
    wide: bool,
) -> None:
    counted = [
        {"rule": limit.finding.rule, "pieces": limit.pieces, **limit.finding.values}
        for limit in screened.limits
        if limit.finding not in found
    ]
    if as_json:
        shown = {
            "hold": None if became == "passed" else became,
            "warehouse": screened.warehouse or None,
            "carrier": screened.carrier or None,
            "findings": found,
            "counted": counted,
            "took_us": took_us,
        }
        click.echo(msgspec.json.encode(shown))
        return
    rows: list[tuple[str, ...]] = [
        (each.rule, each.kind, each.outcome, _values(each.values)) for each in found
    ]
    rows += [
        (each["rule"], "limit", "counted", _values({k: v for k, v in each.items() if k != "rule"}))
        for each in counted
    ]
    if rows:
        tables.table(("RULE", "KIND", "OUTCOME", "BY"), rows, wide=wide)
        click.echo()
    words = {"screened": "held until a person releases it", "screened_note": "noted, and goes on"}
    alone = "; counted alone: what was bought before is not known here" if counted else ""
    click.echo(f"{words.get(became, 'passes')}; {took_us:g} µs{alone}")


async def _tried(loaded: Settings, last: int) -> tuple[Trial, int, float]:
    """Return the trial of stored orders, how many could not be opened, and µs per order."""
    ring = key_ring.load(loaded.keyring_file)
    check_ring = functools.partial(key_ring.check_strictly, ring)
    trial = Trial(screening.load(loaded), phone_index=ring.sealer.phone_index)
    tried: list[tuple[Any, Screened]] = []
    before: UUID | None = None
    read = unreadable = 0
    took_s = 0.0
    async with connections.primary(loaded, on_connect=check_ring) as pool:
        store = OrdersToScreen(pool=pool, sealer=ring.sealer)
        while read < last:
            page = await store.page(before=before, limit=min(_PAGE, last - read))
            if not page:
                break
            began_s = time.perf_counter()
            for stored in page:
                if stored.placement is None:
                    unreadable += 1
                else:
                    tried.append((stored.placement.received_at, trial.screen(stored.placement)))
            took_s += time.perf_counter() - began_s
            read, before = read + len(page), page[-1].id
            if sys.stderr.isatty():
                click.echo(f"\r{read:,} orders", nl=False, err=True)
    if sys.stderr.isatty():
        click.echo("\r", err=True)
    for at, screened in sorted(tried, key=lambda each: each[0]):
        trial.count(screened, at)
    return trial, unreadable, round(took_s * 1e6 / max(1, len(tried)), 1)


def _print_trial(
    trial: Trial, unreadable: int, mean_us: float, *, as_json: bool, wide: bool
) -> None:
    rows: list[dict[str, Any]] = [
        {"rule": rule, "outcome": outcome, "orders": orders_}
        for (rule, outcome), orders_ in trial.found.most_common()
    ]
    became = {name: trial.became[name] for name in ("screened", "screened_note", "passed")}
    if as_json:
        shown = {
            "orders": trial.orders,
            "unreadable": unreadable,
            "became": became,
            "rules": rows,
            "warehouses": trial.warehouses,
            "carriers": trial.carriers,
            "mean_us": mean_us,
        }
        click.echo(msgspec.json.encode(shown))
        return
    if rows:
        tables.table(
            ("RULE", "OUTCOME", "ORDERS", "SHARE"),
            [
                (
                    each["rule"],
                    each["outcome"],
                    f"{each['orders']:,}",
                    f"{each['orders'] / trial.orders:.1%}",
                )
                for each in rows
            ],
            wide=wide,
        )
        click.echo()
    for name, counted in (("warehouse", trial.warehouses), ("carrier", trial.carriers)):
        for text, number in counted.most_common():
            click.echo(f"{name} {text}: {number:,}")
    click.echo(
        f"{trial.orders:,} orders: {became['screened']:,} held, {became['screened_note']:,} noted, "
        f"{became['passed']:,} pass; {mean_us:g} µs an order"
    )
    if unreadable:
        click.echo(f"{unreadable:,} more cannot be opened with this key ring", err=True)


def _does(rule: Rule) -> str:
    if rule.holds:
        return "holds" if rule.stops_hand_off else "notes"
    return "routes" if rule.kind == "route" or rule.then == "route" else "releases"


def _by(fields: dict[str, Any]) -> dict[str, Any]:
    hidden = ("name", "kind", "channels", "stops_hand_off", "then")
    return {key: value for key, value in fields.items() if key not in hidden}


def _values(values: Any) -> str:
    return ", ".join(f"{key} {_text(value)}" for key, value in values.items())


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)
