"""`tidegate keys create`, `list` and `revoke`."""

import asyncio
import json
import os
import pwd
from datetime import datetime
from typing import Any, TypeVar

import click
import msgspec

from gateway.domain.access import LIVE_ROLES, ROLES, Role
from gateway.runtime import settings, settings_source
from gateway.stores.postgres.api_keys import ApiKey, ApiKeys
from ops import connections, tables
from ops.failures import Failure, Wrong

_NAME_CHARS_MAX = 64
_T = TypeVar("_T")


def actor() -> str:
    """Return the actor for the audit log: the operating-system user."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # usual in containers
        return f"uid {os.getuid()}"


@click.command(
    "create",
    epilog="""\
\b
Roles:
  ingest     submit orders
  query      read orders, private fields masked
  query_pii  read orders in clear
  operate    shed, admit and plan over HTTP (/v1/admin, see `tidegate shed`)
  admin      ingest, query and operate; private fields stay masked
\b
Examples:
  tidegate keys create --name storefront --role ingest --channel web --channel app
  tidegate keys create --name grafana --role query --json
  tidegate keys create --name staging --role ingest --role query --test
\b
Exits 0 with the token on stdout, 1 when the database is unavailable,
2 when a channel is not configured.
""",
)
@click.option("--name", required=True, help="Whose key it is, for the audit log and for people.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice(ROLES),
    help="What it may do; repeat for several.",
)
@click.option(
    "--channel",
    "channels",
    multiple=True,
    help="A channel that it may see; repeat for several. None given: every channel.",
)
@click.option(
    "--test",
    "is_test",
    is_flag=True,
    help="For a sandbox: it places and sees test orders only. Not with operate or admin.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def create(
    name: str, roles: tuple[Role, ...], channels: tuple[str, ...], is_test: bool, as_json: bool
) -> None:
    """Make an API key and print its token, this once.

    Only a digest is stored: a lost token is replaced, never recovered. The audit log says who
    made it. It works at once.
    """
    loaded = settings_source.load()
    name = name.strip()
    if not name or len(name) > _NAME_CHARS_MAX or not name.isprintable():
        raise Wrong(f"--name must be 1 to {_NAME_CHARS_MAX} printable characters")
    configured = [channel.name for channel in loaded.channels]
    if unknown := sorted(set(channels) - set(configured)):
        raise Wrong(
            f"--channel {', '.join(unknown)} is not configured; there are {', '.join(configured)}"
        )
    if is_test and (live_only := sorted(LIVE_ROLES.intersection(roles))):
        raise Wrong(
            f"--role {', '.join(live_only)} does not go with --test: it is over the whole gateway"
        )
    key, token = asyncio.run(_create(loaded, name, _once(roles), _once(channels), is_test))
    if as_json:
        click.echo(json.dumps({**_plain(key), "token": token}))
        return
    click.echo(token)
    click.echo(
        f"key {key.id} of {key.name}: {', '.join(key.roles)} on "
        f"{', '.join(key.channels) or 'every channel'}{', test orders only' if is_test else ''}. "
        "Keep the token now, it is not stored.",
        err=True,
    )


@click.command(
    "list",
    epilog="""\
\b
Example:
  tidegate keys list --json
\b
On a narrow terminal the table is wrapped, and CREATED or CHANNELS may be left out.
Exits 0, or 1 when the database is unavailable.
""",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@tables.wide_option
def list_(as_json: bool, wide: bool) -> None:
    """List all API keys, revoked ones too, oldest first. Tokens are not known."""
    keys = asyncio.run(_every(settings_source.load()))
    if as_json:
        click.echo(json.dumps([_plain(key) for key in keys]))
        return
    if not keys:
        click.echo("there are no API keys: make one with `tidegate keys create`", err=True)
    rows = [
        (
            key.id,
            key.name,
            ",".join(key.roles),
            ",".join(key.channels) or "(every)",
            "test" if key.is_test else "live",
            _day(key.created_at),
            f"revoked {_day(key.revoked_at)}" if key.revoked_at else "active",
        )
        for key in keys
    ]
    heads = ("ID", "NAME", "ROLES", "CHANNELS", "ORDERS", "CREATED", "STATE")
    tables.table(heads, rows, wide=wide, spare=("CREATED", "CHANNELS"))


@click.command(
    "revoke",
    epilog="""\
\b
Example:
  tidegate keys revoke 4f21a09c
Exits 0 when it is revoked, 1 when there is no such live key.
""",
)
@click.argument("key_id")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def revoke(key_id: str, as_json: bool) -> None:
    """Revoke the API key with this id (see `tidegate keys list`).

    Every gateway refuses it within api_key_ttl_s seconds. The audit log says who revoked it.
    """
    loaded = settings_source.load()
    if not asyncio.run(_revoke(loaded, key_id)):
        raise Failure(f"there is no live key {key_id}: see `tidegate keys list`")
    if as_json:
        click.echo(json.dumps({"id": key_id, "refused_within_s": loaded.api_key_ttl_s}))
        return
    click.echo(f"revoked {key_id}; gateways refuse it within {loaded.api_key_ttl_s:g} s")


async def _create(
    loaded: settings.Settings, name: str, roles: list[Role], channels: list[str], is_test: bool
) -> tuple[ApiKey, str]:
    async with connections.primary(loaded) as pool:
        return await ApiKeys(pool=pool).create(
            name, roles, channels, actor=actor(), is_test=is_test
        )


async def _every(loaded: settings.Settings) -> list[ApiKey]:
    async with connections.primary(loaded) as pool:
        return await ApiKeys(pool=pool).every()


async def _revoke(loaded: settings.Settings, key_id: str) -> bool:
    async with connections.primary(loaded) as pool:
        return await ApiKeys(pool=pool).revoke(key_id, actor=actor())


def _once(values: tuple[_T, ...]) -> list[_T]:
    return list(dict.fromkeys(values))


def _plain(key: ApiKey) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(key)
    return plain


def _day(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M")
