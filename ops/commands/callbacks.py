"""`tidegate callbacks refused`: callbacks that the gateway rejected."""

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import click
import msgspec

from gateway.domain import masking
from gateway.domain.rejected_callbacks import RejectedCallback
from gateway.providers.contract import REASONS
from gateway.runtime import settings, settings_source
from gateway.stores.postgres import key_ring
from gateway.stores.postgres.rejected_callbacks import Listed, RejectedCallbacks, Unopened
from ops import connections, tables
from ops.commands.api_keys import actor
from ops.failures import Failure

T = TypeVar("T")

_LIMIT_MAX = 1000


_EXITS = """\
Exits 0, 1 when the database is unavailable, there is no such callback or it cannot be opened,
2 when the key ring is not this database's.
"""
_EPILOG = f"""\
\b
Examples:
  tidegate callbacks list --limit 5
  tidegate callbacks show 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10
\b
They are never replayed: their sender repeats them once the cause is mended.
{_EXITS}"""


@click.group("callbacks", epilog=_EPILOG)
def command() -> None:
    """Inspect rejected callbacks."""


@command.command(
    "refused",
    epilog="""\
\b
Examples:
  tidegate callbacks refused --provider stripe
  tidegate callbacks refused --reason bad_signature --json
  tidegate callbacks refused --show 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10
\b
The page of each provider (gateway/providers/NAME.md) explains the reasons.
Exits 0, 1 when the database is unavailable, there is no such callback or it cannot be opened,
2 when the key ring is not this database's.
""",
)
@click.option("--provider", help="Only of this provider.")
@click.option("--account", help="Only of this account.")
@click.option("--reason", type=click.Choice(sorted(REASONS)), help="Only for this reason.")
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, _LIMIT_MAX),
    help="How many, newest first.",
)
@click.option(
    "--show",
    "shown",
    type=click.UUID,
    metavar="ID",
    help="Print one with its headers and its body, unsealed. The audit log records the access.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@tables.wide_option
def refused(
    provider: str | None,
    account: str | None,
    reason: str | None,
    limit: int,
    shown: UUID | None,
    as_json: bool,
    wide: bool,
) -> None:
    """List rejected callbacks, newest first, with the most common cause; or show one.

    They are stored sealed for refused_keep_h hours, a few per account, reason and minute; the
    metric tidegate_refused_callbacks has the full counts.
    """
    loaded = settings_source.load()
    if shown is not None:
        _show(asyncio.run(_opened(loaded, shown)), shown, as_json)
        return
    rows = asyncio.run(_listed(loaded, provider, account, reason, limit))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(rows)))
        return
    _table(rows, wide=wide)


def _table(rows: Sequence[Listed], *, wide: bool) -> None:
    if not rows:
        click.echo("no rejected callbacks are stored", err=True)
        return
    tables.table(
        ("ID", "RECEIVED (UTC)", "ACCOUNT", "REASON", "BYTES", "HINT"),
        [
            (
                str(row.id),
                f"{row.received_at:%Y-%m-%d %H:%M:%S}",
                f"{row.provider}/{row.account}",
                row.reason,
                str(row.bytes),
                row.hint,
            )
            for row in rows
        ],
        wide=wide,
        spare=("BYTES",),
    )


@command.command(
    "list",
    epilog=f"""\
\b
Example:
  tidegate callbacks list --provider stripe --reason bad_signature
\b
The page of each provider (gateway/providers/NAME.md) explains the reasons.
{_EXITS}""",
)
@click.option("--provider", help="Only of this provider.")
@click.option("--account", help="Only of this account.")
@click.option("--reason", type=click.Choice(sorted(REASONS)), help="Only for this reason.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, _LIMIT_MAX))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@tables.wide_option
def list_(
    provider: str | None,
    account: str | None,
    reason: str | None,
    limit: int,
    as_json: bool,
    wide: bool,
) -> None:
    """List rejected callbacks, newest first, with how many are stored for each reason."""
    loaded = settings_source.load()

    async def found(store: RejectedCallbacks) -> tuple[list[Listed], dict[str, int]]:
        rows = await store.newest(provider=provider, account=account, reason=reason, limit=limit)
        return rows, await store.counts(provider=provider, account=account, reason=reason)

    rows, counts = asyncio.run(_with_store(loaded, found))
    if as_json:
        click.echo(json.dumps({"callbacks": msgspec.to_builtins(rows), "counts": counts}))
        return
    _table(rows, wide=wide)
    if rows:
        by_reason = ", ".join(f"{name} {count}" for name, count in counts.items())
        click.echo(f"\n{sum(counts.values())} in all: {by_reason}")


@command.command(
    "show",
    epilog=f"""\
\b
Example:
  tidegate callbacks show 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10
\b
{_EXITS}""",
)
@click.argument("id_", metavar="ID", type=click.UUID)
@click.option("--full", is_flag=True, help="Print headers and body as they came.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(id_: UUID, full: bool, as_json: bool) -> None:
    """Show one with its headers and its body, masked. The audit log records the access."""
    found = asyncio.run(_opened(settings_source.load(), id_))
    if full or not isinstance(found, RejectedCallback):
        _show(found, id_, as_json)
        return
    headers, body = masking.masked_headers(found.headers), masking.masked(found.body)
    if as_json:
        shown = {**msgspec.to_builtins(found), "headers": headers, "body": body}
        click.echo(json.dumps(shown))
        return
    click.echo(_head(found.provider, found.account, found.received_at))
    click.echo(f"rejected: {found.reason}: {found.hint}\n")
    for name, value in headers:
        click.echo(printable(f"{name}: {value}"))
    click.echo()
    click.echo(json.dumps(body, indent=2, ensure_ascii=False))


def _show(found: RejectedCallback | Unopened | None, id_: UUID, as_json: bool) -> None:
    if found is None:
        raise Failure(f"no rejected callback {id_} is stored: see `tidegate callbacks refused`")
    if isinstance(found, Unopened):
        listed = found.listed
        if as_json:
            shown = {**msgspec.to_builtins(listed), "headers": None, "body": None}
            click.echo(json.dumps({**shown, "unreadable": ["headers", "body"]}))
        else:
            click.echo(_head(listed.provider, listed.account, listed.received_at))
            click.echo(f"rejected: {listed.reason}: {listed.hint}")
        raise Failure(f"the message of {id_} cannot be opened: {found.reason}")
    body = found.body.decode(errors="backslashreplace")
    if as_json:
        # JSON has no bytes; invalid UTF-8 in a body is shown as \\xNN.
        click.echo(json.dumps({**msgspec.to_builtins(found), "body": body}))
        return
    click.echo(_head(found.provider, found.account, found.received_at))
    click.echo(f"rejected: {found.reason}: {found.hint}\n")
    for name, value in found.headers:
        click.echo(printable(f"{name}: {value}"))
    click.echo()
    click.echo("\n".join(printable(line) for line in body.splitlines()))


def _head(provider: str, account: str, at: datetime) -> str:
    return f"{provider}/{account} at {at:%Y-%m-%d %H:%M:%S} UTC"


def printable(text: str) -> str:
    """Return one line without control characters: its sender is not trusted."""
    return "".join(
        char if char.isprintable() or char == "\t" else repr(char)[1:-1] for char in text
    )


async def _listed(
    loaded: settings.Settings,
    provider: str | None,
    account: str | None,
    reason: str | None,
    limit: int,
) -> list[Listed]:
    return await _with_store(
        loaded,
        lambda store: store.newest(provider=provider, account=account, reason=reason, limit=limit),
    )


async def _with_store(
    loaded: settings.Settings, work: Callable[[RejectedCallbacks], Awaitable[T]]
) -> T:
    async with connections.primary(loaded) as pool:
        # Opens nothing, so any ring will do; without one, the gateway stores nothing either.
        sealer = key_ring.load(loaded.keyring_file).sealer
        return await work(RejectedCallbacks(pool=pool, sealer=sealer))


async def _opened(loaded: settings.Settings, id_: UUID) -> RejectedCallback | Unopened | None:
    ring = key_ring.load(loaded.keyring_file)
    check = functools.partial(key_ring.check_strictly, ring)
    async with connections.primary(loaded, on_connect=check) as pool:
        return await RejectedCallbacks(pool=pool, sealer=ring.sealer).open(id_, actor=actor())
