"""The real system that faults strike: servers, gateways, workers, and senders that always retry.

Servers may be started from the main thread only, because they end with the thread that started
them, and the loop must not block while one recovers. So the loop runs in a thread of its own and
delegates such calls to the main thread (``on_main``).
"""

import asyncio
import random
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import asyncpg
import msgspec
import psutil  # type: ignore[import-untyped]  # it ships no types
import redis.asyncio

from gateway.runtime.settings import Settings
from gateway.runtime.settings_targets import Target
from gateway.stores import sealing
from loadtest import handoff_checks
from loadtest.deployment import new_secret
from loadtest.handoff.recorder import Behaviour
from ops.embedded.cluster import PRIMARY, REPLICA, Servers
from ops.harness.ports import free_port
from ops.migrations import runner
from tests.support.payers import Payers
from tests.support.processes import Processes
from tests.support.shoppers import Shoppers
from tests.torture.fault import Fault
from tests.torture.senders import Crowd

T = TypeVar("T")
#: Runs a call on the main thread and returns its result.
OnMain = Callable[[Callable[[], T]], Awaitable[T]]

_READY_S = 30.0
#: Seconds until a process that ended is restarted, as by a service manager.
_RESTART_S = 0.1
_RESTART_SOON_DEAD_S = 1.0
_STOP_S = 20.0
#: The time-out of a health check, and seconds between two. Together they are shorter than an
#: unreachable gateway is left out.
_HEALTHY_S, _BALANCE_S = 0.2, 0.05


class Member:
    """A gateway, worker or receiver that is restarted whenever it ends, unless ``is_held``."""

    def __init__(
        self, name: str, command: tuple[str, ...], *, port: int = 0, module: str = ""
    ) -> None:
        self.name = name
        #: Of `tidegate`; with a ``module`` the arguments of ``python -m module``.
        self.command = command
        self.module = module
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self.started_s = 0.0
        #: It is not restarted, and its end is not reported.
        self.is_held = False
        #: Its next end is expected.
        self.is_doomed = False

    @property
    def pid(self) -> int:
        assert self.process is not None, "it was started"
        return self.process.pid

    def send(self, what: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(what)

    def stop(self) -> None:
        """Stop it (SIGSTOP), until SIGCONT or its end."""
        self.send(signal.SIGSTOP)

    def kill(self) -> None:
        """End it by SIGKILL, as expected; it is restarted."""
        self.end(signal.SIGKILL)

    def end(self, how: signal.Signals) -> None:
        """Send the signal and expect its end; it is restarted when it has ended."""
        self.is_doomed = True
        self.send(how)


class Receiver(Member):
    """A target of the hand-off: it records what comes before it answers, also when it is killed."""

    def __init__(self, name: str, directory: Path) -> None:
        self.file = directory / f"{name}.jsonl"
        secret_file = directory / f"{name}.secret"
        secret_file.write_text(new_secret(), "utf-8")
        port = free_port()
        arguments = (f"--port={port}", f"--secret-file={secret_file}", f"--file={self.file}")
        super().__init__(name, arguments, port=port, module="loadtest.handoff.recorder")
        #: Its settings: everything in it is quick, so that a fault of seconds is a long one.
        self.target = Target(
            name=name,
            kind="webhook",
            url=f"http://127.0.0.1:{port}/hand-off",
            secrets=[f"file:{secret_file}"],
            private_addresses=["127.0.0.1"],
            attempts_max=100,
            retry_first_s=0.2,
            # A hundred attempts last longer than any fault.
            retry_max_s=15.0,
            call_s=2.0,
        )

    async def behave(self, behaviour: Behaviour) -> None:
        """Have it answer like this from now on."""
        async with aiohttp.ClientSession() as client:
            url = f"http://127.0.0.1:{self.port}/behave"
            async with client.post(url, data=msgspec.json.encode(behaviour)) as answer:
                answer.raise_for_status()


class World:
    """Everything that a fault can use. Change ``settings`` and ``environment`` before ``start``."""

    def __init__(
        self,
        *,
        servers: Servers,
        directory: Path,
        fault: Fault,
        seed: int,
        is_quick: bool,
        cycles: int,
        say: Callable[[str], None],
        on_main: Callable[[Callable[[], Any]], Awaitable[Any]],
    ) -> None:
        self.servers = servers
        self.directory = directory
        self.fault = fault
        self.rng = random.Random(seed)
        self.is_quick = is_quick
        #: The number of kills of faults that kill repeatedly.
        self.cycles = cycles
        self.say = say
        self.on_main = on_main
        self.environment: dict[str, str] = {}
        self.payers = Payers(directory)
        keyring = directory / "keyring.toml"
        sealing.write_ring(keyring, sealing.new_ring())
        self.settings = Settings(
            database_url=servers.database_url,
            replica_urls=servers.replica_url if fault.replica else "",
            redis_url=servers.redis_url,
            journal_url=servers.journal_url,
            keyring_file=str(keyring),
            accounts=self.payers.settings,
        )
        self.receivers = [Receiver(f"target-{n + 1}", directory) for n in range(fault.targets)]
        self.change(targets=[receiver.target for receiver in self.receivers])
        self.gateways = [
            Member(f"gateway {n + 1}", ("serve", "--port", str(port)), port=port)
            for n, port in enumerate(free_port() for _ in range(fault.gateways))
        ]
        self.workers = [Member(f"worker {n + 1}", ("work",)) for n in range(fault.workers)]
        #: Unexpected ends of processes, with their status.
        self.ended: list[str] = []
        self.token = ""
        self._has_failed_over = False
        self._processes: Processes | None = None
        self._crowd: Crowd | None = None
        self._shoppers: Shoppers | None = None

    # --- the servers, directly and not through the proxy of a fault ---

    @property
    def database_url(self) -> str:
        """The primary, as the owner of the ledger."""
        return self._at_primary(self.servers.database_url)

    @property
    def replica_url(self) -> str:
        """The replica; empty without one."""
        return self.servers.replica_url if self.fault.replica and not self._has_failed_over else ""

    @property
    def admin_url(self) -> str:
        """The primary, as the server's superuser."""
        return self._at_primary(self.servers.admin_url)

    def _at_primary(self, url: str) -> str:
        """Return the URL of the embedded primary, or the same of the replica in its place."""
        if not self._has_failed_over:
            return url
        old, new = (f":{self.servers.port(name)}/" for name in (PRIMARY, REPLICA))
        return url.replace(old, new)

    async def fail_over(self) -> None:
        """Promote the replica: it is the primary from now on, and there is no replica."""
        self._has_failed_over = True
        async with self.admin() as connection:
            assert await connection.fetchval("SELECT pg_promote(wait => true)")

    def change(self, **settings: Any) -> None:
        """Change settings for the gateways and workers; call it before ``start``."""
        self.settings = msgspec.structs.replace(self.settings, **settings)

    async def kill_server(self, name: str) -> None:
        """Kill a server and all its processes (SIGKILL)."""
        await asyncio.to_thread(self.servers.kill, name)

    async def restart_server(self, name: str) -> None:
        """Restart a server that was killed or stopped; it has recovered when this returns."""
        await self.on_main(lambda: self.servers.restart(name))

    def family(self, name: str) -> list[psutil.Process]:
        """Return the processes of a server, the first one first."""
        process = psutil.Process(self.servers.pid(name))
        return [process, *process.children(recursive=True)]

    def freeze(self, name: str) -> None:
        """SIGSTOP to every process of a server."""
        self._signal_server(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT to every process of a server."""
        self._signal_server(name, signal.SIGCONT)

    def _signal_server(self, name: str, what: signal.Signals) -> None:
        for process in self.family(name):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(what)

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[Any]:
        """Yield a connection to the ledger as the server's superuser."""
        connection = await asyncpg.connect(self.admin_url)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def journal(self) -> AsyncIterator["redis.asyncio.Redis"]:
        """Yield a client of the journal's server."""
        client = redis.asyncio.Redis.from_url(self.servers.journal_url, protocol=2)
        try:
            yield client
        finally:
            await client.aclose()

    async def journaled(self) -> int:
        """Return the number of entries in the journal."""
        async with self.journal() as client:
            keys = [key async for key in client.scan_iter("tidegate:{journal*}:*", _type="stream")]
            return sum([await client.xlen(key) for key in keys])

    # --- the processes ---

    async def start(self) -> None:
        """Migrate, create a key, start everything; return once every gateway is ready."""
        await runner.upgrade(
            msgspec.structs.replace(self.settings, database_url=self.database_url),
            now=datetime.now(UTC),
            say=lambda _: None,
        )
        self._processes = Processes(self.settings, directory=self.directory)
        self.token = await self._processes.make_token("ingest", "query")
        self._processes.environment |= self.environment
        for member in (*self.receivers, *self.workers, *self.gateways):
            self.start_member(member)
        async with asyncio.timeout(_READY_S):
            for listening in (*self.receivers, *self.gateways):
                while not await self.is_ready(listening):
                    await asyncio.sleep(0.05)
        if self.workers:
            # A target is told of what is staged after a worker has seen it.
            for target in self.settings.targets:
                await handoff_checks.known(self.database_url, target.name, within_s=_READY_S)

    def start_member(self, member: Member) -> None:
        """Start a gateway, worker or receiver; ``attend`` restarts it from now on."""
        assert self._processes is not None, "started after the world"
        if member.module:
            member.process = self._processes.start_module(member.module, *member.command)
        else:
            member.process = self._processes.start(*member.command)
        member.started_s = time.monotonic()
        member.is_doomed = member.is_held = False

    async def attend(self) -> None:
        """Restart gateways, workers and receivers that end, until cancelled."""
        while True:
            for member in (*self.gateways, *self.workers, *self.receivers):
                if not member.is_held and member.process is not None:
                    await self._attend(member, member.process)
            await asyncio.sleep(0.02)

    async def _attend(self, member: Member, process: subprocess.Popen[bytes]) -> None:
        status = process.poll()
        if status is None:
            return
        if not member.is_doomed or status > 0:
            self.ended.append(f"{member.name} ended with {status}")
        lived_s = time.monotonic() - member.started_s
        if member.is_doomed or lived_s > _RESTART_SOON_DEAD_S:
            await asyncio.sleep(_RESTART_S)
        else:
            await asyncio.sleep(_RESTART_SOON_DEAD_S)
        self.start_member(member)

    async def balance(self) -> None:
        """Keep senders from gateways that fail their health check, until cancelled."""
        while True:
            for gateway in self.gateways:
                if not await self._answers(gateway, "/healthz", within_s=_HEALTHY_S):
                    self.crowd.leave_out(self._url(gateway))
            await asyncio.sleep(_BALANCE_S)

    async def is_ready(self, listening: Member) -> bool:
        """Return whether a gateway or a receiver answers /readyz with 200."""
        return await self._answers(listening, "/readyz", within_s=1.0)

    def _url(self, gateway: Member) -> str:
        return f"http://127.0.0.1:{gateway.port}"

    async def _answers(self, gateway: Member, path: str, *, within_s: float) -> bool:
        timeout = aiohttp.ClientTimeout(total=within_s)
        url = self._url(gateway) + path
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as client,
                client.get(url) as response,
            ):
                return response.status == 200
        except (TimeoutError, aiohttp.ClientError, OSError):
            return False

    async def stop(self) -> None:
        """Terminate all processes; kill those that still run after ``_STOP_S``."""
        everybody = (*self.gateways, *self.workers, *self.receivers)
        members = [member for member in everybody if member.process]
        for member in members:
            member.is_held = True
            member.send(signal.SIGCONT)
            member.send(signal.SIGTERM)
        deadline_s = time.monotonic() + _STOP_S
        for member in members:
            assert member.process is not None
            while member.process.poll() is None and time.monotonic() < deadline_s:
                await asyncio.sleep(0.05)
        if self._processes is not None:
            self._processes.kill()

    # --- the senders ---

    @property
    def crowd(self) -> Crowd:
        """The senders."""
        assert self._crowd is not None, "set by sending()"
        return self._crowd

    @property
    def shoppers(self) -> Shoppers:
        """The shoppers; their ``history`` has every answer."""
        assert self._shoppers is not None, "set by sending()"
        return self._shoppers

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Set up the senders, at the fault's rate and to all gateways, until the block ends.

        They run in ``shoppers.shopping()``, and not before.
        """
        urls = list(map(self._url, self.gateways))
        async with Crowd.connected(
            urls, token=self.token, rate=self.fault.rate, seed=self.rng.randrange(1 << 30)
        ) as self._crowd:
            self._shoppers = Shoppers(
                payers=self.payers, sender=self._crowd, seed=self.rng.randrange(1 << 30)
            )
            yield
