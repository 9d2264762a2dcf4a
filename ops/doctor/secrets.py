"""The key ring, and the secrets of accounts and of the inventory. No secret is ever shown."""

from collections.abc import Mapping
from pathlib import Path

import asyncpg

from gateway.runtime.settings import Account, Settings, SettingsError, secret
from gateway.stores.postgres import key_ring as key_ring_store
from gateway.stores.sealing import Sealer, SealingError, load_ring
from ops import account_faults
from ops.doctor.findings import Finding, fail, ok, warn

_PLACE, _ROW, _PROBE = "doctor.probe", b"row", b"\x00what was sealed must open again\xff"


def key_ring(path: Path) -> list[Finding]:
    """Check that the ring can be read, who else may read it, and that it seals and opens."""
    if not path.exists():
        advice = "make one with `tidegate keys seal-init`, or copy the one of the other gateways"
        return [fail("key ring", f"there is none at {path}", advice)]
    try:
        ring = load_ring(path)
        sealer = Sealer(ring)
        opened = sealer.open(_PLACE, _ROW, sealer.seal(_PLACE, _ROW, _PROBE))
    except SealingError as exc:
        return [fail("key ring", str(exc), "restore it from its backup if anything was sealed")]
    if opened != _PROBE:
        return [fail("key ring", "what it seals does not open again", "restore its backup")]
    detail = f"{path}: {len(ring.keys)} keys, {ring.active} is active; seals and opens"
    return [ok("key ring", detail), _mode(path)]


def _mode(path: Path) -> Finding:
    mode = path.stat().st_mode & 0o777
    detail = f"{path} has mode {mode:04o}"
    advice = f"chmod 0600 {path}"
    if mode & 0o007:
        return fail("key ring mode", f"{detail}: every user of this machine can use it", advice)
    if mode & 0o070:
        return warn("key ring mode", f"{detail}: its group can use it", advice)
    return ok("key ring mode", detail)


async def fit(connection: "asyncpg.Connection[asyncpg.Record]", path: Path) -> list[Finding]:
    """Compare the ring with what this database knows of its keys, and open its newest order."""
    try:
        ring = key_ring_store.load(str(path))
        await key_ring_store.check_as_at_start(ring, connection)
    except SealingError:
        return []  # found already: it cannot be read
    except key_ring_store.WrongKeyRing as exc:
        advice = "until then no gateway and no worker starts with it"
        return [fail("key ring fits", str(exc), advice)]
    row = await connection.fetchrow("SELECT id, private FROM orders ORDER BY id DESC LIMIT 1")
    try:
        if row is not None:
            ring.sealer.open("orders.private", row["id"].bytes, row["private"])
    except SealingError as exc:
        detail = f"the newest order, {row['id']}, cannot be opened: {exc}"
        return [warn("key ring fits", detail, "see ops/runbooks/keys.md")]
    if not await key_ring_store.known_keys(connection):
        return [ok("key ring fits", "this database knows no keys: who starts first records them")]
    return [ok("key ring fits", "its keys are the ones that this database knows")]


def accounts(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Fetch the secrets of every account and make its adapter, as the gateway will."""
    if not settings.accounts:
        return [ok("accounts", "none configured: no payment callbacks are taken")]
    return [_account(account, environ) for account in settings.accounts]


def inventory(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Check that the token of the live inventory can be fetched. The inventory is not called."""
    if not settings.inventory_url:
        return []
    detail = f"{settings.inventory_url} is called, within {settings.inventory_s:g} s"
    if not settings.inventory_token:
        return [ok("inventory", f"{detail}, without a token")]
    try:
        secret(settings.inventory_token, environ)
    except SettingsError as exc:
        advice = "set it in the environment of `tidegate serve`, or the file"
        return [fail("inventory", str(exc), advice)]
    return [ok("inventory", f"{detail}, with a token")]


def _account(account: Account, environ: Mapping[str, str]) -> Finding:
    check = f"account {account.provider}/{account.name}"
    if fault := account_faults.of(account, environ):
        return fail(check, fault, "correct this account in tidegate.toml")
    try:
        secrets = account_faults.fetched(account, environ)
    except SettingsError as exc:
        return fail(check, str(exc), "set it in the environment of `tidegate serve`, or the file")
    return ok(check, f"{len(secrets)} live secrets, for {', '.join(account.channels)}")
