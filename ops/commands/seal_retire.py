"""`tidegate keys seal-retire`."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg
import click

from gateway.runtime import settings_source
from gateway.runtime.settings import Settings
from gateway.stores import sealing
from gateway.stores.key_checks import KeyName, KnownKey, check_value
from gateway.stores.postgres import audit, key_ring
from gateway.stores.postgres.errors import translated
from gateway.stores.postgres.statements import sql
from gateway.stores.redis.journal_streams import JournalStreams
from gateway.stores.sealing import KeyRing
from ops import connections
from ops.commands.api_keys import actor
from ops.failures import Failure, Wrong

_BLIND_INDEX = "blind-index"


@click.command(
    "seal-retire",
    short_help="Let key rings be without a sealing key.",
    epilog="""\
\b
Examples:
  tidegate keys seal-retire 1
  tidegate keys seal-retire --lost 1 blind-index
ops/runbooks/keys.md says when. Exits 0 when each is retired, 1 when rows need one or the database
is unavailable, 2 when one is unknown or in use. Of several, all are retired or none.
""",
)
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option(
    "--lost",
    is_flag=True,
    help="The key is lost: retire it all the same. What it sealed stays unreadable.",
)
def retire(keys: Sequence[str], lost: bool) -> None:
    """Let key rings be without a sealing key: by its id, or `blind-index`.

    Gateways and workers do not start with a key ring that lacks a key in use. A key that sealed
    nothing that is still stored can be retired, and then be taken out of the file. The audit log
    says who did it. A retired id is never used again.
    """
    names = [_parsed(key) for key in dict.fromkeys(keys)]
    loaded = settings_source.load()
    if not lost:
        asyncio.run(_check_journal(loaded))
    ring = _ring_at_hand(Path(loaded.keyring_file)) if lost else None
    for line in asyncio.run(_retire(loaded, names, lost=lost, ring=ring)):
        click.echo(line)


def _parsed(key: str) -> int | None:
    """Return an id; None for the blind index key."""
    if key == _BLIND_INDEX:
        return None
    if key.isascii() and key.isdigit() and 1 <= int(key) <= 65535:
        return int(key)
    raise Wrong(f"{key!r} is no key: give ids from 1 to 65535, or {_BLIND_INDEX}")


async def _check_journal(loaded: Settings) -> None:
    """Raise unless the journal is empty: which keys sealed its entries is not known."""
    url = loaded.journal_url or loaded.redis_url
    if not url:
        return
    streams = JournalStreams(url=url, shards=loaded.journal_shards, call_s=loaded.journal_s)
    try:
        waiting = (await streams.depth()).entries
    finally:
        await streams.close()
    if waiting:
        raise Failure(
            f"nothing is retired: {waiting} entries wait in the journal, and the key may have "
            "sealed them: let a worker drain them first"
        )


def _ring_at_hand(path: Path) -> KeyRing | None:
    """Return the key ring of this machine; None where there is none that can be read."""
    try:
        return sealing.load_ring(path)
    except sealing.SealingError:
        return None


async def _retire(
    loaded: Settings, ids: Sequence[int | None], *, lost: bool, ring: KeyRing | None
) -> list[str]:
    # Without the gateway's time limits: rows may take long to count.
    connection = await connections.connect(loaded.database_url, setting="database_url")
    try:
        with translated():
            async with connection.transaction():
                known = await key_ring.known_keys(connection)
                if ring is not None:
                    _check_lost(ring, known, ids, path=loaded.keyring_file)
                return [await _retire_one(connection, known, each, lost=lost) for each in ids]
    finally:
        connection.terminate()


def _check_lost(
    ring: KeyRing, known: Sequence[KnownKey], ids: Sequence[int | None], *, path: str
) -> None:
    """Raise ``Wrong`` when the ring at hand uses one of the keys: no process would start then."""
    for row in known:
        if row.retired_at is not None:
            continue
        name = KeyName(row.kind, row.key_id)
        if row.kind == "seal":
            key = ring.keys[ring.active] if row.key_id == ring.active else None
            is_given = row.key_id in ids
        else:
            key = ring.blind_index
            is_given = None in ids
        if is_given and key is not None and row.check_value == check_value(name, key):
            raise Wrong(
                f"{name} is not lost: the key ring {path} uses it, and no gateway or worker would "
                "start with that any more"
            )


async def _retire_one(
    connection: "asyncpg.Connection[asyncpg.Record]",
    known: Sequence[KnownKey],
    key_id: int | None,
    *,
    lost: bool,
) -> str:
    label = _BLIND_INDEX if key_id is None else str(key_id)
    name = _name(known, key_id)
    row = next((each for each in known if (each.kind, each.key_id) == name), None)
    if row is not None and row.retired_at is not None:
        return f"{name} is retired already"
    rows = await _rows(connection, name)
    used = key_ring.counted(rows, most=None)
    if not lost:
        if row is not None and row == _newest(known):
            raise Wrong(
                f"{name} is the one that fields are sealed with: first run `tidegate keys "
                "seal-rotate` and restart every gateway and worker"
            )
        if any(rows.values()):
            raise Failure(
                f"{name} is not retired: {used} need it. --lost retires it all the same, for good"
            )
        if row is None:
            raise Wrong(f"this database does not know {name}")
    await connection.execute(sql("retire_sealing_key"), name.kind, name.key_id)
    detail = f"{'lost; ' if lost else ''}{used}"
    await audit.append(connection, actor(), "sealing_key.retire", label, detail)
    if key_id is None:
        return f"{name} is retired: orders so far cannot be found by phone any more"
    left = f"; unreadable from now on: {used}" if any(rows.values()) else ""
    return f"{name} is retired: key rings may be without it{left}"


def _name(known: Sequence[KnownKey], key_id: int | None) -> KeyName:
    if key_id is not None:
        return KeyName("seal", key_id)
    live = [row.key_id for row in known if row.kind == "blind_index" and row.retired_at is None]
    if not live:
        raise Wrong("this database knows no blind index key")
    return KeyName("blind_index", live[0])


def _newest(known: Sequence[KnownKey]) -> KnownKey | None:
    """Return the sealing key that came into use last."""
    in_use = [
        (row.in_use_since, row.key_id, row)
        for row in known
        if row.kind == "seal" and row.in_use_since is not None and row.retired_at is None
    ]
    return max(in_use)[2] if in_use else None


async def _rows(
    connection: "asyncpg.Connection[asyncpg.Record]", name: KeyName
) -> Mapping[str, int]:
    """Return how many rows of each table need a key."""
    if name.kind == "blind_index":
        return {"orders": await connection.fetchval("SELECT count(*) FROM orders")}
    record = await connection.fetchrow(
        sql("count_sealed_with"), name.key_id.to_bytes(2, "big"), None
    )
    assert record is not None, "count_sealed_with.sql returns one row"
    return dict(record)
