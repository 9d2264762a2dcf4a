"""`tidegate keys seal-init`, `seal-rotate` and `seal-list`; `seal-retire`: `seal_retire.py`."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.domain.errors import Unavailable
from gateway.runtime import settings, settings_source
from gateway.stores import sealing
from gateway.stores.key_checks import KeyName, KnownKey
from gateway.stores.postgres import audit, key_ring
from gateway.stores.postgres.errors import translated
from gateway.stores.postgres.key_ring import LoadedRing, WrongKeyRing
from gateway.stores.postgres.statements import sql
from ops import connections, effective
from ops.commands.api_keys import actor
from ops.failures import Failure, Wrong, unavailable


def ring_path() -> Path:
    """Return where the key ring belongs: it is made before there is a database."""
    return Path(effective.load_without_database().keyring_file)


@click.command(
    "seal-init",
    epilog="""\
\b
Example:
  TIDEGATE_KEYRING_FILE=/etc/tidegate/keyring.toml tidegate keys seal-init
Exits 0 when the file is there, 2 when it was there before (without --if-missing).
""",
)
@click.option("--if-missing", is_flag=True, help="Leave a key ring that is there, and exit 0.")
@click.option(
    "--id",
    "key_id",
    type=click.IntRange(1, 65535),
    default=1,
    show_default=True,
    help="Id of its key. Where a ring was lost, one that the lost ring did not have.",
)
def init(if_missing: bool, key_id: int) -> None:
    """Make the key ring that private fields are sealed with.

    Writes the file that keyring_file names, readable by its owner only. Every gateway and worker
    needs the same file. Back it up, apart from the database: what is sealed cannot be read
    without it. A key ring that exists is never overwritten.
    """
    path = ring_path()
    if _write_new(path, sealing.new_ring(key_id)):
        click.echo(f"made the key ring {path}: back it up now, apart from the database")
    elif if_missing:
        sealing.load_ring(path)
        click.echo(f"the key ring {path} is there already")
    else:
        raise Wrong(f"{path} exists and is not overwritten: what it sealed would be lost")


@click.command(
    "seal-rotate",
    epilog="""\
\b
Example:
  tidegate keys seal-rotate
Then copy the file to every machine, and restart every gateway and worker.
Exits 0 when the new key is active, 1 when the database is unavailable, 2 when there is no key ring
or it is not this database's. Nothing is changed then.
""",
)
def rotate() -> None:
    """Add a sealing key and seal new fields with it.

    Older keys stay in the ring, to read what they sealed. The audit log says who did it, and the
    database knows the new key from then on. Running gateways and workers go on with the old key
    until they are restarted; until then they cannot read what restarted ones seal, so restart all
    of them in one go.
    """
    loaded = settings_source.load()
    path = Path(loaded.keyring_file)
    sealing.load_ring(path)
    try:
        ring = asyncio.run(_rotate(loaded, path))
    except WrongKeyRing:
        raise
    except Unavailable as exc:
        raise Failure(f"the new key is not in use: {unavailable(exc)}") from exc
    click.echo(f"key {ring.active} is active in {path}, which now holds {len(ring.keys)} keys")
    click.echo("copy the file to every machine and restart every gateway and worker")


@click.command(
    "seal-list",
    short_help="List the ids of the sealing keys.",
    epilog="""\
\b
Example:
  tidegate keys seal-list --json
Exits 0, or 2 when there is no key ring.
""",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_(as_json: bool) -> None:
    """List the ids of the sealing keys and which is active, never the keys."""
    path = ring_path()
    ring = sealing.load_ring(path)
    if as_json:
        listed = {"file": str(path), "active": ring.active, "keys": sorted(ring.keys)}
        click.echo(json.dumps(listed))
        return
    click.echo(path)
    for kid in sorted(ring.keys):
        click.echo(f"{kid}{'  active' if kid == ring.active else ''}")


def _write_new(path: Path, ring: sealing.KeyRing) -> bool:
    # A link, unlike a rename, fails when the name is taken: of two at once, one fails.
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    if path.exists():
        return False
    try:
        sealing.write_ring(draft, ring)
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


async def _rotate(loaded: settings.Settings, path: Path) -> sealing.KeyRing:
    # Over a connection of its own, without the time limits of a batch: it may look at rows.
    probing = await connections.connect(loaded.database_url, setting="database_url")
    try:
        await key_ring.check_as_at_start(key_ring.load(str(path)), probing)
    finally:
        probing.terminate()
    async with connections.primary(loaded) as pool:
        with translated():
            async with pool.acquire() as connection, connection.transaction():
                # Two that rotate at once must not both make key 2: read the ring in one's turn.
                await connection.execute(sql("lock_audit_log"))
                before = key_ring.load(str(path))
                await key_ring.check_strictly(before, connection)
                known = await key_ring.known_keys(connection)
                _check_newest(before, known)
                ids = [row.key_id for row in known if row.kind == "seal"]
                ring = sealing.rotated(before.ring, above=max(ids, default=0))
                name = KeyName("seal", ring.active)
                await key_ring.record(connection, ring, [name], in_use=())
                detail = f"file {path}"
                await audit.append(
                    connection, actor(), "sealing_key.rotate", str(ring.active), detail
                )
                # Before the commit: a row without its key would be a lie; the reverse can only
                # result from a commit that fails at this instant, and is reported as a failure.
                sealing.write_ring(path, ring)
    return ring


def _check_newest(before: LoadedRing, known: Sequence[KnownKey]) -> None:
    """Raise ``WrongKeyRing`` for a ring that was rotated elsewhere since it was copied here."""
    for row in known:
        is_ours = row.kind != "seal" or row.key_id in before.ring.keys
        if not is_ours and row.retired_at is None:
            raise WrongKeyRing(
                f"the key ring {before.path} lacks key {row.key_id}, which a rotation made on "
                f"another machine on {row.first_seen_at:%Y-%m-%d}: copy the ring from there first"
            )
