"""Orders as the command prints them: tables for people, and what may be done next."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from gateway.domain import holds
from gateway.domain.action_rules import allowed_in
from ops import tables

Shown = Mapping[str, Any]

_LINE = "{:<12}{}"
#: Characters of an RFC 3339 time up to its minutes, and to its seconds.
_TO_MINUTES, _TO_SECONDS = 16, 19


def orders(found: Sequence[Shown], *, wide: bool) -> None:
    """Print a line for each order."""
    rows = [
        (
            each["order_no"],
            each["channel"],
            each["status"],
            each["hold"] or "",
            _money(each, "payable"),
            _money(each, "paid"),
            _time(each["placed_at"]),
            each["id"],
        )
        for each in found
    ]
    heads = ("ORDER", "CHANNEL", "STATUS", "HOLD", "PAYABLE", "PAID", "PLACED", "ID")
    tables.table(heads, rows, wide=wide, spare=("PLACED", "PAID", "CHANNEL"))


def order(shown: Shown, *, wide: bool) -> None:
    """Print one order with its lines, payments and parcels, and what may be done next."""
    hold = shown["hold"]
    held = f", held as {hold} until {holds.HOLDS[hold].ended_by}" if hold else ""
    screening: Shown = shown.get("screening") or {}
    facts = [
        ("order", f"{shown['order_no']} of {shown['channel']}"),
        ("id", shown["id"]),
        ("status", f"{shown['status']}{held}"),
        ("version", str(shown["version"])),
        ("payable", _money(shown, "payable")),
        ("paid", _money(shown, "paid")),
        ("refunded", _money(shown, "refunded")),
        ("owed", _money(shown, "owed")),
        ("goes to", _recipient(shown.get("recipient"))),
        ("placed", _time(shown["placed_at"])),
        ("accepted", _accepted(shown)),
        ("sent from", screening.get("warehouse")),
        ("sent by", screening.get("carrier")),
    ]
    for name, text in facts:
        if text:
            click.echo(_LINE.format(name, text))
    _table(("SKU", "NAME", "QTY", "PRICE"), _items(shown), wide)
    _table(("PAYMENT", "OF", "AMOUNT", "REFUNDED", "STANDING", "PAID"), _payments(shown), wide)
    _table(("PARCEL", "CARRIER", "LEFT", "ARRIVED", "CANCELLED"), _parcels(shown), wide)
    _table(("RULE", "DID", "BY", "ENDED BY"), _findings(screening), wide)
    click.echo(f"\npossible now: {', '.join(allowed_in(shown['status'], hold))}")


def events(found: Sequence[Shown], *, wide: bool) -> None:
    """Print a line for each event of an order, and the addresses that changed."""
    rows = [
        (
            _time(each["received_at"], chars=_TO_SECONDS),
            each["action"],
            each["outcome"],
            each["to_status"] or "",
            _who(each),
            "; ".join(filter(None, (each["reason"], each["detail"], _address(each)))),
        )
        for each in found
    ]
    heads = ("AT (UTC)", "ACTION", "OUTCOME", "STATUS", "WHO", "WHY")
    tables.table(heads, rows, wide=wide, spare=("STATUS",))


def approvals(found: Sequence[Shown], *, wide: bool) -> None:
    """Print a line for each approval."""
    rows = [
        (
            each["id"],
            each["order_no"],
            each["action"],
            each["state"],
            each["requested_by"],
            each["reason"],
            _asked(each["request"]),
            _time(each["expires_at"]),
            each["decided_by"] or "",
        )
        for each in found
    ]
    heads = ("APPROVAL", "ORDER", "ACTION", "STATE", "ASKED BY", "WHY", "WHAT", "UNTIL", "DECIDED")
    tables.table(heads, rows, wide=wide, spare=("DECIDED", "UNTIL"))


def done(result: Shown) -> None:
    """Print what became of an action, and what to do next."""
    name = f"order {result['order_no']}"
    hold = f", held as {result['hold']}" if result["hold"] else ""
    if result["outcome"] == "pending":
        click.echo(
            f"{name}: a second person must approve, with a key of another name:\n"
            f'  tidegate orders approve {result["approval"]} --reason "…"'
        )
    elif result["outcome"] == "journaled":
        click.echo(
            f"{name}: PostgreSQL is unavailable; it is journaled, and done as soon as possible. "
            f"See what became of it:\n  tidegate orders events {result['id']}"
        )
    else:
        click.echo(f"{name} is {result['status']}{hold}, version {result['version']}")
        click.echo(f"possible now: {', '.join(allowed_in(result['status'], result['hold']))}")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], wide: bool) -> None:
    if rows:
        click.echo()
        tables.table(heads, rows, wide=wide)


def _items(shown: Shown) -> list[Sequence[str]]:
    return [
        (each["sku"], each["name"], str(each["quantity"]), each["unit_price"])
        for each in shown["items"]
    ]


def _payments(shown: Shown) -> list[Sequence[str]]:
    return [
        (
            each["transaction_id"], f"{each['provider']} {each['account']}", each["amount"],
            each["refunded"], each["standing"], _time(each["paid_at"]),
        )
        for each in shown.get("payments", ())
    ]  # fmt: skip


def _parcels(shown: Shown) -> list[Sequence[str]]:
    return [
        (
            each["tracking_no"], each["carrier"], _time(each["shipped_at"]),
            _time(each["delivered_at"]), _time(each.get("cancelled_at")),
        )
        for each in shown.get("parcels", ())
    ]  # fmt: skip


def _findings(screening: Shown) -> list[Sequence[str]]:
    return [
        (
            each["rule"], each["outcome"],
            ", ".join(f"{name} {value}" for name, value in each["values"].items()),
            each["released_by"] or "",
        )
        for each in screening.get("findings", ())
    ]  # fmt: skip


def _accepted(shown: Shown) -> str:
    """Say when the first took the order over, and who all did, each with its own number for it."""
    by = ", ".join(
        f"{each['target']} as {each['reference']}" if each["reference"] else each["target"]
        for each in shown.get("acceptances") or ()
    )
    at = _time(shown.get("accepted_at"))
    return f"{at} by {by}" if at and by else at


def _money(shown: Shown, name: str) -> str:
    return f"{shown['amounts'][name]} {shown['currency']}"


def _recipient(to: Shown | None) -> str:
    if to is None:
        return ""
    names = ("name", "phone", "street", "district", "city", "province", "country")
    return ", ".join(str(to[name]) for name in names if to[name])


def _who(event: Shown) -> str:
    who = event.get("actor") or event["trigger"]
    second = event.get("approved_by")
    return f"{who}, approved by {second}" if second else who


def _address(event: Shown) -> str:
    change = event.get("address")
    if not change:
        return ""
    return ", ".join(
        f"{name}: {change['before'].get(name) or 'none'} -> {text}"
        for name, text in change["after"].items()
    )


def _asked(request: Shown | None) -> str:
    if request is None:
        return "cannot be opened"
    return ", ".join(
        f"{name} {value}"
        for name, value in request.items()
        if name not in ("reason", "items") and value is not None
    )


def _time(text: str | None, *, chars: int = _TO_MINUTES) -> str:
    return text[:chars].replace("T", " ") if text else ""
