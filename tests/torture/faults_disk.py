"""Disks that run full, and a journal that reaches its maxmemory."""

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
    """A file system of a few megabytes in place of a directory, with its contents."""

    def __init__(self, directory: Path, *, size_mb: int) -> None:
        self._directory = directory
        self._set_aside = directory.with_name(f"{directory.name}.aside")
        self._size_mb = size_mb
        self._is_mounted = False

    def mount(self) -> None:
        """Mount it; stop all users of the directory first. Raises ``Impossible``."""
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
            raise Impossible(f"a small disk cannot be mounted here: mount reports {why!r}")
        self._is_mounted = True
        subprocess.run(["cp", "-a", f"{self._set_aside}/.", str(self._directory)], check=True)

    def fill(self, *, but_bytes: int = 0) -> None:
        """Fill it, up to ``but_bytes`` of free space."""
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
        """Free space, as an operator does by deleting files."""
        (self._directory / _BALLAST).unlink(missing_ok=True)

    def unmount(self) -> None:
        """Restore the directory; harmless when nothing is mounted."""
        if self._is_mounted:
            subprocess.run(["umount", str(self._directory)], check=True)
            self._is_mounted = False
            self._directory.rmdir()
            self._set_aside.rename(self._directory)


class FullDisk(Fault):
    """A server whose data is on a small disk."""

    server: str
    #: The directory on the small disk, relative to the servers' data.
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
        """The small disk is unmounted, and the server stopped."""
        if self._disk is not None:
            await asyncio.to_thread(world.servers.stop_one, self.server)
            await asyncio.to_thread(self._disk.unmount)

    @property
    def disk(self) -> SmallDisk:
        """The small disk."""
        assert self._disk is not None, "prepare mounts it"
        return self._disk


class FullPostgres(FullDisk):
    """Postgres cannot store more; if it ends, it is started once there is space."""

    server = PRIMARY
    expects_202 = True
    sees = "202 instead of 201; postgres logs 'No space left on device', and may end."
    do = "Free space (or add disk) and check that the primary runs; the rest recovers by itself."

    async def strike(self, world: World) -> None:
        """From now on none of its files can grow."""
        await asyncio.to_thread(self.disk.fill)

    async def mend(self, world: World) -> None:
        """There is space; the server is restarted if it has ended, as its supervisor would."""
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
    """Tables cannot grow, and soon the write-ahead log cannot either."""

    name = "postgres disk full"
    directory = PRIMARY
    size_mb = 400


class FullLog(FullPostgres):
    """The write-ahead log has no space for its next file: Postgres ends itself."""

    name = "postgres disk of the write-ahead log full"
    directory = f"{PRIMARY}/pg_wal"
    size_mb = 200

    async def strike(self, world: World) -> None:
        """Fill the disk, then use up the log files that already exist."""
        await super().strike(world)
        with suppress(asyncpg.PostgresError, OSError, TimeoutError):
            async with asyncio.timeout(_BACK_S), world.admin() as admin:
                while True:
                    await admin.execute("SELECT pg_logical_emit_message(true, 't', 'full')")
                    await admin.execute("SELECT pg_switch_wal()")


class FullJournal(FullDisk):
    """Postgres is down and the journal's disk is full: what was answered 202 is in the journal."""

    name = "postgres killed, journal disk full"
    server = JOURNAL
    directory = JOURNAL
    size_mb = 4
    expects_202 = True
    sees = "503; the journal's server has ended: with appendfsync always a full disk ends it."
    do = "Free space, then start the journal's server; it has all it had acknowledged."
    #: Space for the first second or two of an outage.
    spare_bytes = 256 * _KB

    def __init__(self) -> None:
        super().__init__()
        self._has_ended = False

    async def strike(self, world: World) -> None:
        """The disk has a little space left, and Postgres is killed."""
        await asyncio.to_thread(self.disk.fill, but_bytes=self.spare_bytes)
        await world.kill_server(PRIMARY)

    async def mend(self, world: World) -> None:
        """There is space; both servers are restarted, as their supervisor would."""
        self._has_ended = any(each.name == JOURNAL for each in world.servers.poll())
        self.disk.free()
        if self._has_ended:
            await world.restart_server(JOURNAL)
        await world.restart_server(PRIMARY)

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        """The disk was full, and clients were answered 503."""
        return [
            Check("the journal's server ended", "yes", "yes" if self._has_ended else "no"),
            _was_rejected(world),
        ]


class FullMemory(Fault):
    """Postgres is down and the journal is at its maxmemory: nothing is evicted."""

    name = "postgres killed, journal at maxmemory"
    expects_202 = True
    sees = "202, then 503 once the journal is filled to journal_fill_max."
    do = "Bring Postgres back; meanwhile CONFIG SET maxmemory higher, where there is memory."
    #: Memory for the first second or two of an outage.
    spare_bytes = 384 * _KB

    def __init__(self) -> None:
        self._maxmemory_before = ""
        self._evicted = -1
        self._over_bytes = 0

    async def strike(self, world: World) -> None:
        """Leave the journal memory for the first seconds only."""
        async with world.journal() as journal:
            known = await journal.config_get("maxmemory")
            self._maxmemory_before = str(known["maxmemory"])
            used = (await journal.info("memory"))["used_memory"]
            await journal.config_set("maxmemory", used + self.spare_bytes)
        await world.kill_server(PRIMARY)

    async def mend(self, world: World) -> None:
        """Postgres is back. The journal keeps its limit: it must drain with it."""
        async with world.journal() as journal:
            info = await journal.info()
            self._evicted = info["evicted_keys"]
            self._over_bytes = max(0, info["used_memory"] - info["maxmemory"])
        await world.restart_server(PRIMARY)

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        """Clients were answered 503, nothing was evicted, and the memory limit held."""
        return [
            _was_rejected(world),
            Check("entries evicted", 0, self._evicted),
            Check("bytes above maxmemory", 0, self._over_bytes),
        ]

    async def release(self, world: World) -> None:
        """The journal has its former memory limit."""
        if self._maxmemory_before:
            with suppress(redis.RedisError):
                async with world.journal() as journal:
                    await journal.config_set("maxmemory", self._maxmemory_before)


def _was_rejected(world: World) -> Check:
    rejected = world.shoppers.history.statuses().get(503, 0)
    return Check("answered 503", "yes", "yes" if rejected else "no")


FAULTS: list[Fault] = [FullData(), FullLog(), FullJournal(), FullMemory()]
