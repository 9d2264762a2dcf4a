"""Holds that a process uses a database only with the key ring that it is sealed with.

Every new connection that may write is checked before its first use, so this holds at the start, and
also when PostgreSQL comes back later or another server takes its place. The usual check is one
small query. Keys that the database does not know are recorded, by whoever comes first; in a
database that was filled before there were check values, what is sealed has to open first.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path

import asyncpg
import msgspec
from msgspec import Struct

from gateway.domain.errors import Unavailable
from gateway.stores import key_checks, sealing
from gateway.stores.key_checks import KeyName, KnownKey, Verdict
from gateway.stores.postgres import errors, sealed_samples
from gateway.stores.postgres.read_limiter import Connection, terminated_after
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import KeyRing, Sealer

_log = logging.getLogger(__name__)

#: Rows of a table that are counted, and the milliseconds for it: they only make a sentence clearer.
_COUNTED_MAX = 1000
_COUNT_MS = 2000
#: Seconds for all of a check that has to look at rows.
_SETTLE_S = 9.0


class WrongKeyRing(Unavailable):
    """The ring is not this database's. The text says how they differ and what to do.

    Unavailable as PostgreSQL is to whoever meets it in a running process: nothing is stored.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__("postgres")
        self.args = (sentence,)


class LoadedRing(Struct, frozen=True):
    """A key ring, where it was read, and a sealer over it."""

    path: str
    ring: KeyRing
    sealer: Sealer


def load(path: str) -> LoadedRing:
    """Read a key ring file. Raises ``SealingError`` with what to do about it."""
    ring = sealing.load_ring(Path(path))
    return LoadedRing(path, ring, sealing.Sealer(ring))


async def check_strictly(loaded: LoadedRing, connection: Connection) -> None:
    """Raise ``WrongKeyRing`` when a process with this ring could not be started now.

    Records nothing. Raises ``Unavailable`` as well.
    """
    with errors.translated():
        verdict = key_checks.compare(loaded.ring, await known_keys(connection))
    if sentence := key_checks.refusal(loaded.path, verdict, {}):
        raise WrongKeyRing(sentence)


async def check_as_at_start(loaded: LoadedRing, connection: Connection) -> None:
    """As ``check_strictly``; what the database does not know of the ring is examined as well."""
    await check_strictly(loaded, connection)
    with errors.translated():
        async with connection.transaction():
            known = await known_keys(connection)
            await _examined(loaded, connection, known)


class RingCheck:
    """Checks one key ring against the database behind each new connection.

    The first check of a process is strict. Afterwards a key that is missing is only logged: the
    ring was rotated while this process ran, and it goes on until it is restarted.
    """

    def __init__(
        self,
        *,
        loaded: LoadedRing,
        connect: Callable[[], Awaitable[Connection]],
        is_sealing: bool,
    ) -> None:
        """``connect`` opens a further connection; ``is_sealing``: whether the process seals."""
        self._loaded = loaded
        self._connect = connect
        self._is_sealing = is_sealing
        self._settling: asyncio.Task[None] | None = None
        self._told: set[int] = set()
        #: Whether the ring was found to be the database's.
        self.is_done = False
        #: Why the ring may not be used, in a sentence; empty while nothing is known against it.
        self.refusal = ""

    async def on_connect(self, connection: Connection) -> None:
        """Return if the database behind this connection may be used.

        Raises ``WrongKeyRing`` where it may not, ``Unavailable`` where it does not answer.
        """
        try:
            with errors.translated():
                verdict = key_checks.compare(self._loaded.ring, await known_keys(connection))
            if self._is_settled(verdict):
                self._accept(verdict)
            else:
                await self._settled_once()
        except BaseException:
            # Closed politely, a connection would wait for a server that may be silent.
            connection.terminate()
            raise

    async def is_newer(self, key_id: int) -> bool:
        """Return whether the database knows a key of this id that this ring lacks.

        Then the ring was rotated, and a process with the new one opens what that key sealed.
        Raises ``Unavailable``.
        """
        if key_id in self._loaded.ring.keys:
            return False
        with errors.translated():
            connection = await self._connect()
            try:
                with terminated_after(connection, _SETTLE_S):
                    known = await known_keys(connection)
            finally:
                connection.terminate()
        return any(
            row.kind == "seal" and row.key_id == key_id and row.retired_at is None for row in known
        )

    def _is_settled(self, verdict: Verdict) -> bool:
        return not (
            verdict.foreign
            or verdict.retired
            or verdict.unknown
            or (verdict.is_unmarked and self._is_sealing)
            or (verdict.missing and not self.is_done)
        )

    def _accept(self, verdict: Verdict) -> None:
        for row in verdict.missing:
            if row.key_id not in self._told:
                self._told.add(row.key_id)
                _log.warning(
                    "the key ring was rotated: restart this process with the new one",
                    extra={"key": row.key_id},
                )
        if self.refusal:
            _log.info("the key ring is this database's")
        self.is_done, self.refusal = True, ""

    async def _settled_once(self) -> None:
        """Wait for the one task that settles; it goes on when its caller has no more time."""
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle(), name="key ring")
            self._settling.add_done_callback(self._forget)
        await asyncio.shield(self._settling)

    def _forget(self, settling: "asyncio.Task[None]") -> None:
        self._settling = None
        if not settling.cancelled():
            # Retrieved, so that asyncio does not report what nobody waits for any more.
            settling.exception()

    async def _settle(self) -> None:
        try:
            with errors.translated():
                connection = await self._connect()
                try:
                    with terminated_after(connection, _SETTLE_S):
                        async with connection.transaction():
                            await self._record(connection)
                finally:
                    connection.terminate()
        except WrongKeyRing as exc:
            if self.refusal != str(exc):
                self.refusal = str(exc)
                _log.error("the key ring is refused: %s", exc)
            raise
        self._accept(Verdict())

    async def _record(self, connection: Connection) -> None:
        """Record what the database does not know of the ring, after it was found to fit.

        Raises ``WrongKeyRing``; nothing is recorded then.
        """
        loaded = self._loaded
        known = await known_keys(connection)
        verdict = key_checks.compare(loaded.ring, known)
        await self._reject(connection, verdict)
        if verdict.unknown:
            in_use = await _examined(loaded, connection, known)
            await record(connection, loaded.ring, verdict.unknown, in_use=in_use)
            names = [str(name) for name in verdict.unknown]
            _log.info("sealing keys are recorded", extra={"keys": names})
        if self._is_sealing:
            await connection.execute(sql("mark_sealing_key"), loaded.ring.active)
        # What another process recorded meanwhile is seen now: of two rings, one was first.
        await self._reject(
            connection, key_checks.compare(loaded.ring, await known_keys(connection))
        )

    async def _reject(self, connection: Connection, verdict: Verdict) -> None:
        if self.is_done:
            verdict = msgspec.structs.replace(verdict, missing=())
        if not key_checks.refusal(self._loaded.path, verdict, {}):
            return
        # Of the first alone: it takes its time.
        uses = {row.key_id: await _uses(connection, row.key_id) for row in verdict.missing[:1]}
        raise WrongKeyRing(key_checks.refusal(self._loaded.path, verdict, uses))


async def _examined(
    loaded: LoadedRing, connection: Connection, known: Sequence[KnownKey]
) -> set[int]:
    """Return which keys of a ring sealed what is stored, in the caller's transaction.

    Raises ``WrongKeyRing`` where those that the database does not know do not open it.
    """
    verdict = key_checks.compare(loaded.ring, known)
    if not verdict.unknown:
        return set()
    found = await sealed_samples.examine(
        connection, loaded.ring, loaded.sealer, verdict.unknown, known=known
    )
    if found.reasons:
        raise WrongKeyRing(_unopened(loaded.path, found.reasons))
    return found.in_use


async def record(
    connection: Connection, ring: KeyRing, names: Sequence[KeyName], *, in_use: Collection[int]
) -> None:
    """Record check values of these keys of a ring; ``in_use``: ids of keys that seal.

    What is known of a key already stays as it is.
    """
    keys = [ring.keys[name.key_id] if name.kind == "seal" else ring.blind_index for name in names]
    await connection.execute(
        sql("record_sealing_keys"),
        [name.kind for name in names],
        [name.key_id for name in names],
        [key_checks.check_value(name, key) for name, key in zip(names, keys, strict=True)],
        [name.kind == "seal" and name.key_id in in_use for name in names],
    )


async def known_keys(connection: Connection) -> list[KnownKey]:
    """Return what the database knows of its keys. Raises the driver's errors."""
    return [KnownKey(*row) for row in await connection.fetch(sql("list_sealing_keys"))]


async def _uses(connection: Connection, key_id: int) -> str:
    """Say how many rows a key sealed, if that is quickly known."""
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = {_COUNT_MS}")
            record = await connection.fetchrow(
                sql("count_sealed_with"), key_id.to_bytes(2, "big"), _COUNTED_MAX
            )
    except asyncpg.QueryCanceledError:
        return "rows that take long to count"
    assert record is not None, "count_sealed_with.sql returns one row"
    return counted(dict(record), most=_COUNTED_MAX)


def counted(rows: Mapping[str, int], *, most: int | None) -> str:
    """Return counts of rows as text; ``most``: where counting ended, None: nowhere."""
    parts = [
        f"{count}{' or more' if count == most else ''} row{'' if count == 1 else 's'} of {table}"
        for table, count in rows.items()
        if count
    ]
    return ", ".join(parts) if parts else "no row that is stored"


def _unopened(path: str, reasons: Sequence[str]) -> str:
    return (
        f"the key ring {path} does not belong to this database, which was filled before rings "
        f"were checked: {'; '.join(reasons)}. Use the ring of the other gateways or its backup, "
        "or correct database_url; ops/runbooks/keys.md says what to do when it is lost"
    )
