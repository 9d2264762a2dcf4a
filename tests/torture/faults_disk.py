"""Disks that run full, and a journal that runs out of the memory it may use."""

import asyncio
import errno
import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import asyncpg
import redis

from loadtest.ledger_contents import Stored
from loadtest.verify import Check
from ops.embedded.cluster import JOURNAL, PRIMARY
from tests.torture.fault import Fault, Impossible
from tests.torture.world import World

_KB = 1 << 10
_BALLAST = "ballast"
_BACK_S = 30.0


class SmallDisk:
    """A file system of a few megabytes in the place of a directory, with what was in it."""

    def __init__(self, directory: Path, *, size_mb: int) -> None:
        self._directory = directory
        self._set_aside = directory.with_name(f"{directory.name}.aside")
        self._size_mb = size_mb
        self._is_mounted = False

    def mount(self) -> None:
        """Put it there; whoever uses the directory is stopped first. May raise ``Impossible``."""
        if os.geteuid() != 0:
            raise Impossible("only root may mount a small disk: run it as root")
        of = self._directory.stat()
        self._directory.rename(self._set_aside)
        self._directory.mkdir()
        options = f"size={self._size_mb}m,mode=0700,uid={of.st_uid},gid={of.st_gid}"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self._directory)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if mounted.returncode != 0:
            self._directory.rmdir()
            self._set_aside.rename(self._directory)
            why = mounted.stderr.partition("\n")[0].rpartition(": ")[2]
            raise Impossible(f"a small disk can not be mounted here: mount says {why!r}")
        self._is_mounted = True
        subprocess.run(["cp", "-a", f"{self._set_aside}/.", str(self._directory)], check=True)

    def fill(self, *, but_bytes: int = 0) -> None:
        """Nothing more fits on it but so many bytes."""
        ballast = os.open(self._directory / _BALLAST, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            while True:
                os.write(ballast, bytes(1 << 12))
        except OSError as problem:
            if problem.errno != errno.ENOSPC:
                raise
        finally:
            size = os.fstat(ballast).st_size
            os.ftruncate(ballast, max(0, size - but_bytes))
            os.close(ballast)

    def free(self) -> None:
        """Make room, as an operator does who deletes what is not needed."""
        (self._directory / _BALLAST).unlink(missing_ok=True)

    def unmount(self) -> None:
        """Put back the directory that was there before; harmless where nothing was mounted."""
        if self._is_mounted:
            subprocess.run(["umount", str(self._directory)], check=True)
            self._is_mounted = False
            self._directory.rmdir()
            self._set_aside.rename(self._directory)


class FullDisk(Fault):
    """A server whose data lies on a small disk."""

    server: str
    #: Which directory that is, below where the servers keep their data.
    directory: str
    size_mb: int

    def __init__(self) -> None:
        self._disk: SmallDisk | None = None

    async def prepare(self, world: World) -> None:
        """The server runs on a small disk."""
        directory = world.servers.state.data / self.directory
        self._disk = SmallDisk(directory, size_mb=self.size_mb)
        await asyncio.to_thread(world.servers.stop_one, self.server)
        try:
            await asyncio.to_thread(self._disk.mount)
        finally:
            await world.restart_server(self.server)

    async def release(self, world: World) -> None:
        """The small disk is gone, and the server with it."""
        if self._disk is not None:
            await asyncio.to_thread(world.servers.stop_one, self.server)
            await asyncio.to_thread(self._disk.unmount)

    @property
    def disk(self) -> SmallDisk:
        """The small disk."""
        assert self._disk is not None, "prepare mounts it"
        return self._disk


class FullPostgres(FullDisk):
    """Postgres can store no more; where it ends of it, it is started once there is room."""

    server = PRIMARY
    expects_202 = True
    sees = "202 instead of 201; postgres logs 'No space left on device', and may end of it."
    do = "Make room (or a bigger disk) and see that the primary runs; then it recovers by itself."

    async def strike(self, world: World) -> None:
        """From now on no file of it grows."""
        await asyncio.to_thread(self.disk.fill)

    async def mend(self, world: World) -> None:
        """There is room; the server is started when it has ended, as its supervisor would."""
        self.disk.free()
        deadline_s = time.monotonic() + _BACK_S
        while time.monotonic() < deadline_s:
            if any(each.name == PRIMARY for each in world.servers.poll()):
                await world.restart_server(PRIMARY)
            with suppress(asyncpg.PostgresError, OSError):
                async with world.admin() as admin:
                    await admin.execute("SELECT 1")
                    return
            await asyncio.sleep(0.2)


class FullData(FullPostgres):
    """Tables can not grow, and soon the write-ahead log can not either."""

    name = "postgres disk full"
    directory = PRIMARY
    size_mb = 400


class FullLog(FullPostgres):
    """The write-ahead log has no room for its next file: Postgres ends itself."""

    name = "postgres disk of the write-ahead log full"
    directory = f"{PRIMARY}/pg_wal"
    size_mb = 200

    async def strike(self, world: World) -> None:
        """Use up the files of the log that are ready."""
        await super().strike(world)
        with suppress(asyncpg.PostgresError, OSError, TimeoutError):
            async with asyncio.timeout(_BACK_S), world.admin() as admin:
                while True:
                    await admin.execute("SELECT pg_logical_emit_message(true, 't', 'full')")
                    await admin.execute("SELECT pg_switch_wal()")


class FullJournal(FullDisk):
    """Postgres is away and the journal's disk is full: what was answered 202 is in the journal."""

    name = "postgres killed, journal disk full"
    server = JOURNAL
    directory = JOURNAL
    size_mb = 4
    expects_202 = True
    sees = "503; the journal's server has ended: with appendfsync always a full disk ends it."
    do = "Make room, then start the journal's server; it keeps all it had acknowledged."
    #: Room for the first second or two of an outage.
    room_bytes = 256 * _KB

    def __init__(self) -> None:
        super().__init__()
        self._has_ended = False

    async def strike(self, world: World) -> None:
        """There is room for a little, then for nothing."""
        await asyncio.to_thread(self.disk.fill, but_bytes=self.room_bytes)
        await world.kill_server(PRIMARY)

    async def mend(self, world: World) -> None:
        """There is room; both are started, as their supervisor would."""
        self._has_ended = any(each.name == JOURNAL for each in world.servers.poll())
        self.disk.free()
        if self._has_ended:
            await world.restart_server(JOURNAL)
        await world.restart_server(PRIMARY)

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        """The disk was full, and it was said."""
        return [
            Check("the journal's server ended of it", "yes", "yes" if self._has_ended else "no"),
            _was_refused(world),
        ]


class FullMemory(Fault):
    """Postgres is away and the journal may use no more memory: nothing old makes way for new."""

    name = "postgres killed, journal at maxmemory"
    expects_202 = True
    sees = "202, then 503 once the journal is filled to journal_fill_max."
    do = "Bring Postgres back; meanwhile CONFIG SET maxmemory higher, where there is memory."
    #: Memory for the first second or two of an outage.
    room_bytes = 384 * _KB

    def __init__(self) -> None:
        self._maxmemory_before = ""
        self._evicted = -1
        self._over_bytes = 0

    async def strike(self, world: World) -> None:
        """Leave the journal room for the first seconds only."""
        async with world.journal() as journal:
            known = await journal.config_get("maxmemory")
            self._maxmemory_before = str(known["maxmemory"])
            used = (await journal.info("memory"))["used_memory"]
            await journal.config_set("maxmemory", used + self.room_bytes)
        await world.kill_server(PRIMARY)

    async def mend(self, world: World) -> None:
        """Postgres is back. The journal has no more memory than before: it has to drain so."""
        async with world.journal() as journal:
            told = await journal.info()
            self._evicted = told["evicted_keys"]
            self._over_bytes = max(0, told["used_memory"] - told["maxmemory"])
        await world.restart_server(PRIMARY)

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        """It was full, it was said, and it stayed within its memory without forgetting."""
        return [
            _was_refused(world),
            Check("entries evicted", 0, self._evicted),
            Check("bytes above maxmemory", 0, self._over_bytes),
        ]

    async def release(self, world: World) -> None:
        """The journal has its memory again."""
        if self._maxmemory_before:
            with suppress(redis.RedisError):
                async with world.journal() as journal:
                    await journal.config_set("maxmemory", self._maxmemory_before)


def _was_refused(world: World) -> Check:
    refused = world.shoppers.history.statuses().get(503, 0)
    return Check("told to come back", "yes", "yes" if refused else "no")


FAULTS: list[Fault] = [FullData(), FullLog(), FullJournal(), FullMemory()]
