"""The journal's machine loses power: what was not synced is lost."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from loadtest.ledger_contents import Stored
from loadtest.verify import Check
from ops.embedded.cluster import JOURNAL, PRIMARY
from tests.torture import lossy_fs
from tests.torture.fault import Fault, Impossible
from tests.torture.world import World

_MOUNT_S = 10.0


class LossyDisk:
    """A disk in place of a directory that loses unsynced data when its power is cut."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._disk = directory.with_name(f"{directory.name}.disk")
        self._process: subprocess.Popen[bytes] | None = None

    def lay(self) -> None:
        """Mount it over the directory, with its contents; stop all users of the directory first.

        Raises ``Impossible``.
        """
        if os.geteuid() != 0:
            raise Impossible("only root may mount a lossy disk: run it as root")
        if not Path("/dev/fuse").exists():
            raise Impossible("there is no /dev/fuse: load the kernel's module (`modprobe fuse`)")
        self._directory.rename(self._disk)
        self._directory.mkdir()
        try:
            self.power_up()
        except Impossible:
            self.remove()
            raise

    def power_up(self) -> None:
        """It has what was synced. Raises ``Impossible`` when it cannot be mounted."""
        where = [str(self._disk), str(self._directory)]
        command = [sys.executable, "-m", "tests.torture.lossy_fs", *where]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        deadline_s = time.monotonic() + _MOUNT_S
        while not self._directory.is_mount():
            if process.poll() is not None or time.monotonic() > deadline_s:
                process.kill()
                output = process.communicate()[1].decode().strip().splitlines()[-1:]
                raise Impossible(f"a lossy disk cannot be mounted: {' '.join(output)}")
            time.sleep(0.01)
        self._process = process

    def cut_power(self) -> None:
        """Unsynced data is lost, and the disk unmounted until ``power_up``."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
            lossy_fs.unmount(self._directory)

    def remove(self) -> None:
        """The directory is an ordinary one, with the synced data."""
        self.cut_power()
        if self._disk.exists():
            self._directory.rmdir()
            self._disk.rename(self._directory)


class PowerCut(Fault):
    """Postgres is down, orders are answered 202, and the journal's machine loses power."""

    name = "postgres killed, power cut under the journal"
    expects_202 = True
    lasts_s = 1.0
    quick_s = 0.5
    sees = "503 while both are down; the journal's server logs nothing about its end."
    do = "Restart the machine: what was answered 202 is on its disk and is drained."
    #: Seconds between the end of Postgres and the power cut.
    _alone_s = 3.3

    def __init__(self) -> None:
        self._disk: LossyDisk | None = None

    async def prepare(self, world: World) -> None:
        """The journal runs on a lossy disk."""
        self._disk = LossyDisk(world.servers.state.data / JOURNAL)
        await asyncio.to_thread(world.servers.stop_one, JOURNAL)
        try:
            await asyncio.to_thread(self._disk.lay)
        finally:
            await world.restart_server(JOURNAL)

    async def strike(self, world: World) -> None:
        """Postgres is killed, then the power is cut."""
        await world.kill_server(PRIMARY)
        await asyncio.sleep(self._alone_s)
        await world.kill_server(JOURNAL)
        await asyncio.to_thread(self._laid.cut_power)

    async def mend(self, world: World) -> None:
        """The power is back, and both servers restarted."""
        await asyncio.to_thread(self._laid.power_up)
        await world.restart_server(JOURNAL)
        await world.restart_server(PRIMARY)

    async def release(self, world: World) -> None:
        """The lossy disk is unmounted, and the journal stopped."""
        if self._disk is not None:
            await asyncio.to_thread(world.servers.stop_one, JOURNAL)
            await asyncio.to_thread(self._disk.remove)

    @property
    def _laid(self) -> LossyDisk:
        assert self._disk is not None, "prepare lays it"
        return self._disk


class PowerCutUnsynced(PowerCut):
    """Control: a journal that syncs once a second, whose last second must be reported as lost."""

    name = "power cut under a journal that syncs every second"
    is_control = True
    sees = "Nothing: this is why the gateway rejects a journal without appendfsync always."

    async def prepare(self, world: World) -> None:
        """The gateway checks the journal's configuration at its start and not again."""
        await super().prepare(world)
        world.change(journal_check_s=3600.0)

    async def strike(self, world: World) -> None:
        """The configuration changes without the gateway's notice, then the power is cut."""
        async with world.journal() as journal:
            await journal.config_set("appendfsync", "everysec")
        await super().strike(world)

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        """No checks of its own: lost orders must fail the general ones."""
        return []


FAULTS: list[Fault] = [PowerCut(), PowerCutUnsynced()]
