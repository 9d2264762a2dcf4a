"""A gateway with a low limit of open files, and more connections than that."""

import asyncio
import resource
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil  # type: ignore[import-untyped]  # it ships no types

from loadtest.ledger_contents import Stored
from loadtest.verify import Check
from tests.torture.fault import Fault
from tests.torture.world import World

_DESCRIPTORS = 128
_CONNECTIONS = 300
_AGAIN_S = 1.0
#: Share of a core. A loop that spins on accept() takes all of it.
_CPU_MAX = 0.8


class FewDescriptors(Fault):
    """Connections without a descriptor end or wait; the gateway continues with those it has."""

    name = "fd limit 128 under 300 connections"
    rate = 50.0
    senders = 16
    sees = "Connections ended at once, tidegate_connections near the limit of open files."
    do = "Raise the limit of open files (LimitNOFILE=) above connections_max."

    def __init__(self) -> None:
        self._flood: list[asyncio.Task[None]] = []
        self._opened = 0
        self._cpu_share = 0.0
        self._began_s = self._cpu_before_s = 0.0

    async def strike(self, world: World) -> None:
        """Lower the limit of the running process, and connect."""
        pid = world.gateways[0].pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (_DESCRIPTORS, hard))
        self._began_s, self._cpu_before_s = time.monotonic(), _cpu_s(pid)
        port = world.gateways[0].port
        self._flood = [asyncio.create_task(self._connect(port)) for _ in range(_CONNECTIONS)]

    async def mend(self, world: World) -> None:
        """All connections are closed; the limit stays."""
        pid = world.gateways[0].pid
        self._opened = psutil.Process(pid).num_fds()
        used_s = _cpu_s(pid) - self._cpu_before_s
        self._cpu_share = used_s / (time.monotonic() - self._began_s)
        world.say(f"{self._opened} descriptors open, {self._cpu_share:.0%} of a core used")
        await self._disconnect()

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        """The limit was reached, without a busy loop."""
        is_reached = self._opened >= _DESCRIPTORS * 0.9
        is_calm = self._cpu_share < _CPU_MAX
        return [
            Check("the limit was reached", "yes", "yes" if is_reached else f"{self._opened} open"),
            Check("no busy loop", "yes", "yes" if is_calm else f"{self._cpu_share:.0%} of a core"),
        ]

    async def release(self, world: World) -> None:
        """All connections are closed."""
        await self._disconnect()

    async def _disconnect(self) -> None:
        for task in self._flood:
            task.cancel()
        await asyncio.gather(*self._flood, return_exceptions=True)
        self._flood.clear()

    async def _connect(self, port: int) -> None:
        """Keep a connection open and send nothing; open it again when it ends."""
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    await reader.read()
                finally:
                    writer.transport.abort()
            await asyncio.sleep(_AGAIN_S)


def _cpu_s(pid: int) -> float:
    spent = psutil.Process(pid).cpu_times()
    return float(spent.user + spent.system)


FAULTS: list[Fault] = [FewDescriptors()]
