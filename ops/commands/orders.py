"""`tidegate orders`: find an order, see it, and act on it, through a gateway."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click

from gateway.domain.approvals import STATES
from ops import gateway_client, order_view, tables
from ops.commands import order_actions
from ops.failures import Failure

F = TypeVar("F", bound=Callable[..., None])

_LIMIT_MAX = 200
#: What `find TEXT` may be, in the order in which it is tried.
_KINDS = ("order_no", "tracking_no", "transaction_id", "phone")

_EPILOG = """\
\b
Examples:
  tidegate orders find W-1001
  tidegate orders show W-1001
  tidegate orders ship W-1001 --carrier SF --tracking-no SF123 --reason "packed by hand"
  tidegate orders hold W-1001 --reason "the buyer called"
  tidegate orders approvals
\b
With `tidegate up`, read its address and key first: . .tidegate/env
Every command talks to a gateway (--url), with an API key (TIDEGATE_API_KEY or --key-file): role
`query` to see orders, `query_pii` to see them unmasked, `operate` to act on them.
"""


@click.group("orders", epilog=_EPILOG)
def command() -> None:
    """Find orders, see them, and act on them.

    ORDER is an order's id or its number.
    """


def _seeing(function: F) -> F:
    function = tables.wide_option(function)
    function = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)
    return gateway_client.options(function)


@command.command(
    "find",
    epilog="""\
\b
Examples:
  tidegate orders find W-1001
  tidegate orders find 13800138000
  tidegate orders find --hold any --channel web
  tidegate orders find --status paid --json | jq -r '.[].id'
\b
Exits 0, 1 when nothing is found or no gateway answers, 2 for a wrong option.
""",
)
@click.argument("text", required=False)
@click.option("--order-no", help="With this order number.")
@click.option("--phone", help="With this phone of the recipient, in whatever spelling.")
@click.option("--tracking-no", help="With this parcel.")
@click.option("--transaction-id", help="Paid by this transaction.")
@click.option("--status", help="With this status.")
@click.option("--hold", help="With this hold, or `any`.")
@click.option("--channel", help="Of this channel.")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, _LIMIT_MAX), help="How many."
)
@_seeing
def find(
    text: str | None,
    limit: int,
    url: str,
    key_file: Path | None,
    as_json: bool,
    wide: bool,
    **filters: str | None,
) -> None:
    """Find orders, newest first.

    TEXT is an order number, a tracking number, a transaction id or a phone.
    """
    client = gateway_client.opened(url, key_file)
    query: dict[str, str | None] = {**filters, "limit": str(limit)}
    found: list[Any] = []
    for kind in _KINDS if text else (None,):
        if kind == "phone" and sum(map(str.isdigit, text or "")) < 5:
            continue
        asked = query | ({kind: text} if kind else {})
        found = client.get("/v1/orders", **asked)["orders"]
        if found:
            break
    if as_json:
        click.echo(json.dumps(found))
    else:
        order_view.orders(found, wide=wide)
    if not found:
        raise Failure("no order of the key's channels fits")


@command.command(
    "show",
    epilog="""\
\b
Example:
  tidegate orders show W-1001
\b
Exits 0, 1 when there is no such order or no gateway answers, 2 for a wrong option.
""",
)
@click.argument("order")
@_seeing
def show(order: str, url: str, key_file: Path | None, as_json: bool, wide: bool) -> None:
    """Show an order with its payments and parcels, and what may be done to it."""
    client = gateway_client.opened(url, key_file)
    shown = client.get(f"/v1/orders/{order_actions.id_of(client, order)}")
    if as_json:
        click.echo(json.dumps(shown))
    else:
        order_view.order(shown, wide=wide)


@command.command(
    "events",
    epilog="""\
\b
Example:
  tidegate orders events W-1001
\b
Exits 0, 1 when there is no such order or no gateway answers, 2 for a wrong option.
""",
)
@click.argument("order")
@_seeing
def events(order: str, url: str, key_file: Path | None, as_json: bool, wide: bool) -> None:
    """Show the history of an order: what happened, who did it, and why."""
    client = gateway_client.opened(url, key_file)
    found = client.get(f"/v1/orders/{order_actions.id_of(client, order)}/events")["events"]
    if as_json:
        click.echo(json.dumps(found))
    else:
        order_view.events(found, wide=wide)


@command.command(
    "approvals",
    epilog="""\
\b
Examples:
  tidegate orders approvals
  tidegate orders approvals --state failed --json
\b
Exits 0, 1 when no gateway answers, 2 for a wrong option.
""",
)
@click.option(
    "--state",
    default="pending",
    show_default=True,
    type=click.Choice([*STATES, "any"]),
    help="Those in this state.",
)
@_seeing
def approvals(state: str, url: str, key_file: Path | None, as_json: bool, wide: bool) -> None:
    """List what waits for a second person, newest first."""
    client = gateway_client.opened(url, key_file)
    wanted = None if state == "any" else state
    found = client.get("/v1/approvals", state=wanted)["approvals"]
    if as_json:
        click.echo(json.dumps(found))
        return
    order_view.approvals(found, wide=wide)
    if not found:
        click.echo("no approvals", err=True)


@command.command(
    "approve",
    epilog="""\
\b
Example:
  tidegate orders approve 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10 --reason "seen the statement"
\b
Exits 0 when it is done or journaled, 1 when it is not possible any more, 2 for a wrong option.
""",
)
@click.argument("approval", type=click.UUID)
@click.option("--reason", required=True, help="Why; kept with the approval.")
@_seeing
def approve(
    approval: UUID, reason: str, url: str, key_file: Path | None, as_json: bool, wide: bool
) -> None:
    """As a second person: approve what another asked for, and do it."""
    client = gateway_client.opened(url, key_file)
    path = f"/v1/approvals/{approval}/approve"
    order_actions.printed(client.ask("POST", path, {"reason": reason}).content, as_json)


@command.command(
    "reject",
    epilog="""\
\b
Example:
  tidegate orders reject 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10 --reason "not the buyer's voice"
\b
Exits 0 when it is rejected, 1 when it was decided before, 2 for a wrong option.
""",
)
@click.argument("approval", type=click.UUID)
@click.option("--reason", required=True, help="Why; kept with the approval.")
@_seeing
def reject(
    approval: UUID, reason: str, url: str, key_file: Path | None, as_json: bool, wide: bool
) -> None:
    """As a second person: reject what another asked for."""
    client = gateway_client.opened(url, key_file)
    found = client.ask("POST", f"/v1/approvals/{approval}/reject", {"reason": reason}).content
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo(f"{found['action']} of order {found['order_no']} is rejected")


order_actions.add_to(command)
