"""SIGHUP reloads real processes under load, and loses nothing; only a lost terminal ends them."""

import asyncio
import fcntl
import itertools
import json
import os
import pty
import signal
import subprocess
import termios
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from gateway.runtime.settings import Account
from loadtest import orders
from ops.harness import accounts_file, command_line
from ops.harness.ports import free_port
from ops.simulators import stripe
from ops.simulators.contract import Account as Simulated
from ops.simulators.contract import Trade
from tests.proof.test_processes import serve_two, tree, until_listening
from tests.support.patience import HANG_S, until, until_blocking
from tests.support.processes import Processes

RELOADS = 200
SENDERS = 8
#: A role's own account, beside the one that is rotated.
EXTRA = stripe.create()


@dataclass
class Configured:
    """The ``tidegate.toml`` of the processes, written anew before each reload."""

    processes: Processes
    directory: Path
    #: The active secrets of stripe/main, by their files' names.
    secrets: list[str] = field(default_factory=lambda: ["one"])
    has_extra_account: bool = False
    has_kiosk: bool = False
    order_bytes_max: int = 262_144
    is_broken: bool = False

    def __post_init__(self) -> None:
        (self.directory / "extra").write_text(EXTRA.secrets[0])

    def secret(self, name: str, value: str) -> None:
        (self.directory / name).write_text(value)

    def write(self) -> None:
        lines = [f"order_bytes_max = {self.order_bytes_max}"]
        for name in ("web", "app", *(["kiosk"] if self.has_kiosk else [])):
            lines += ["[[channels]]", f'name = "{name}"']
        lines.append(self._account("main", self.secrets))
        if self.has_extra_account:
            lines.append(self._account("extra", ["extra"]))
        if self.is_broken:
            lines.append(self._account("broken", ["nowhere"]))
        path = self.directory / "tidegate.toml"
        path.with_suffix(".new").write_text("\n".join(lines) + "\n")
        path.with_suffix(".new").rename(path)

    def _account(self, name: str, secrets: list[str]) -> str:
        return accounts_file.section(
            provider="stripe",
            name=name,
            channels=["web"],
            secrets=[f"file:{self.directory / each}" for each in secrets],
            options={},
        )

    def outcomes(self) -> list[dict[str, Any]]:
        """Return the log lines of all reloads so far, of all processes."""
        return [line for line in self._lines() if line.get("event") in ("reloaded", "not reloaded")]

    def _lines(self) -> Iterator[dict[str, Any]]:
        for line in self.processes.log_path.read_text().splitlines():
            if line.startswith("{") and line.endswith("}"):
                yield json.loads(line)


@pytest.fixture
def accounts() -> list[Account]:
    return []


@pytest.fixture
def configured(processes: Processes, tmp_path: Path) -> Configured:
    made = Configured(processes, tmp_path)
    # The environment would win over the file.
    del processes.environment["TIDEGATE_ORDER_BYTES_MAX"]
    made.secret("one", stripe.create().secrets[0])
    made.write()
    return made


async def reload(
    configured: Configured, process: subprocess.Popen[bytes], processes: int = 1
) -> list[dict[str, Any]]:
    """Write the configuration, send SIGHUP, and return the outcome of each process."""
    configured.write()
    before = len(configured.outcomes())
    process.send_signal(signal.SIGHUP)

    def is_done() -> bool:
        assert process.poll() is None, configured.processes.log_path.read_text()[-3000:]
        return len(configured.outcomes()) >= before + processes

    await until(is_done)
    return configured.outcomes()[before:]


@dataclass
class Load:
    """Senders that place an order and pay it, again and again, each on a connection of its own."""

    token: str
    #: Signs the payments: an account whose first secret is in force.
    signer: Any
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    #: Rounds that each sender has finished.
    rounds: Counter[int] = field(default_factory=Counter)
    paid: list[str] = field(default_factory=list)
    connections: int = 0
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def send(
        self, session: aiohttp.ClientSession, sender: int, is_over: asyncio.Event
    ) -> None:
        while not is_over.is_set():
            n = next(self._numbers)
            content = orders.order(n, prefix="hup")
            headers = {
                "Content-Type": "application/json", "Authorization": f"Bearer {self.token}",
            }  # fmt: skip
            await self._post(session, "order", "/v1/orders", json.dumps(content).encode(), headers)
            payable = Decimal(content["amounts"]["payable"])
            trade = Trade(f"H{n}", content["order_no"], payable, payable, content["currency"])
            posted = self.signer.message("paid", trade, at=datetime.now(UTC))
            path = "/v1/callbacks/stripe/main"
            if await self._post(session, "payment", path, posted.body, posted.headers):
                self.paid.append(content["order_no"])
            self.rounds[sender] += 1

    async def _post(
        self, session: aiohttp.ClientSession, what: str, path: str, body: bytes, headers: Any
    ) -> bool:
        try:
            async with session.post(path, data=body, headers=headers) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as exc:
            self.failures.append(f"{what}: {type(exc).__name__}")
            return False
        self.statuses[what, answer.status] += 1
        if answer.status not in (200, 201):
            self.failures.append(f"{what}: {answer.status} {text[:200]}")
        return answer.status in (200, 201)

    async def turned(self) -> None:
        """Return once each sender has finished what it had begun, and one round more."""
        wanted = {sender: count + 2 for sender, count in self.rounds.items()}
        await until(lambda: all(self.rounds[each] >= count for each, count in wanted.items()))


@asynccontextmanager
async def under_load(port: int, token: str, secret: str) -> AsyncIterator[Load]:
    load = Load(token, signer(secret))

    async def count(*_: object) -> None:
        load.connections += 1

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(count)
    connector = aiohttp.TCPConnector(limit=SENDERS)
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{port}",
        connector=connector,
        trace_configs=[tracing],
        timeout=aiohttp.ClientTimeout(total=HANG_S),
    ) as session:
        is_over = asyncio.Event()
        load.rounds.update(dict.fromkeys(range(SENDERS), 0))
        async with asyncio.TaskGroup() as running:
            for sender in range(SENDERS):
                running.create_task(load.send(session, sender, is_over))
            try:
                yield load
            finally:
                is_over.set()


def signer(secret: str) -> Any:
    return stripe.simulator(Simulated(secrets=(secret,), options={}, private={}))


@pytest.mark.parametrize("count", [1, 2])
async def test_two_hundred_reloads_under_load_lose_nothing(
    processes: Processes,
    configured: Configured,
    ledger: "asyncpg.Pool[asyncpg.Record]",
    count: int,
) -> None:
    """Secrets are rotated, accounts, channels and limits come and go, every fifth is refused."""
    port = free_port()
    token = await processes.make_token("ingest", "query")
    if count == 2:
        gateway = await serve_two(processes, port)
    else:
        gateway = await asyncio.to_thread(processes.serve, port=port)
    pids = {child.pid for child in tree(gateway)[1:]} if count == 2 else {gateway.pid}
    current = (configured.directory / "one").read_text()
    async with under_load(port, token, current) as load:
        for n in range(RELOADS):
            step = n % 5
            if step == 0:
                following = stripe.create().secrets[0]
                configured.secret("two", following)
                configured.secrets = ["two", "one"]
            elif step == 1:
                load.signer = signer(following)
                # What was signed with the old secret has been answered before that is removed.
                await load.turned()
                configured.secret("one", following)
                configured.secrets = ["one"]
            elif step == 2:
                configured.has_extra_account = not configured.has_extra_account
                configured.order_bytes_max += 1
            elif step == 3:
                configured.is_broken, configured.order_bytes_max = True, 1
            else:
                configured.is_broken, configured.order_bytes_max = False, 262_144 + n
                configured.has_kiosk = not configured.has_kiosk
            found = await reload(configured, gateway, count)
            assert {line["pid"] for line in found} == pids
            expected = "not reloaded" if step == 3 else "reloaded"
            assert [line["event"] for line in found] == [expected] * count
        await load.turned()
    assert load.failures == []
    assert load.connections <= SENDERS, "connections stay open"
    assert len(load.paid) >= 2 * SENDERS
    stored = await ledger.fetch("SELECT order_no FROM orders WHERE status = 'paid'")
    waiting = await ledger.fetchval("SELECT count(*) FROM parked")
    assert waiting == 0
    missing = set(load.paid) - {row["order_no"] for row in stored}
    assert not missing
    shown = processes.log_path.read_text()
    assert "Traceback" not in shown
    assert "whsec_" not in shown
    gateway.terminate()
    assert await asyncio.to_thread(gateway.wait, HANG_S) == 0


async def test_the_log_names_what_changed_and_what_did_not(
    processes: Processes, configured: Configured
) -> None:
    port = free_port()
    gateway = await asyncio.to_thread(processes.serve, port=port)
    configured.secret("one", stripe.create().secrets[0])
    configured.has_extra_account = configured.has_kiosk = True
    configured.order_bytes_max = 1000
    (changed,) = await reload(configured, gateway)
    assert (changed["level"], changed["event"]) == ("info", "reloaded")
    assert changed["changed"] == (
        "accounts + stripe/extra, ~ stripe/main (secrets); channels + kiosk; "
        "limits order_bytes_max 262144 -> 1000"
    )
    configured.is_broken = True
    (refused,) = await reload(configured, gateway)
    assert (refused["level"], refused["event"]) == ("error", "not reloaded")
    assert refused["reason"].startswith("accounts: stripe/broken: secret file:")
    assert "cannot be read" in refused["reason"]
    configured.is_broken = False
    (again,) = await reload(configured, gateway)
    assert again["changed"] == "nothing"
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        async with client.get("/metrics") as answer:
            shown = await answer.text()
        async with client.get("/readyz") as answer:
            assert answer.status == 200
    assert 'tidegate_reloads_total{outcome="applied"} 2.0' in shown
    assert 'tidegate_reloads_total{outcome="refused"} 1.0' in shown
    assert "tidegate_reload_ok 1.0" in shown


async def test_a_worker_reloads_its_channels(processes: Processes, configured: Configured) -> None:
    worker = processes.start("work")
    await until(lambda: '"working"' in processes.log_path.read_text())
    configured.has_kiosk = configured.has_extra_account = True
    (outcome,) = await reload(configured, worker)
    assert outcome["changed"] == "channels + kiosk"
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, HANG_S) == 0


async def test_signals_from_the_first_moment_end_no_child(
    processes: Processes, configured: Configured
) -> None:
    """A child that still starts when a reload is passed on is not ended by it."""
    parent = processes.start("serve", "--port", "0", "--processes", "2")
    await until(lambda: '"supervising"' in processes.log_path.read_text())
    while processes.log_path.read_text().count('"listening"') < 2:
        assert parent.poll() is None
        parent.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.05)
    configured.has_kiosk = True
    await reload(configured, parent, processes=2)
    await until(lambda: str(configured.outcomes()).count("channels + kiosk") == 2)
    assert "gateway died" not in processes.log_path.read_text()


async def test_a_child_that_dies_after_a_refused_reload_does_not_end_the_others(
    processes: Processes, configured: Configured
) -> None:
    """Its successor cannot start on the broken file; it starts once that is mended."""
    port = free_port()
    parent = await serve_two(processes, port)
    configured.is_broken = True
    await reload(configured, parent, processes=2)
    # Both have long read their settings.
    await asyncio.sleep(5.0)
    victim, other = tree(parent)[1:]
    victim.kill()
    await until(lambda: '"gateway not restarted' in processes.log_path.read_text())
    assert other.is_running()
    assert parent.poll() is None
    url = f"http://127.0.0.1:{port}/readyz"
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        assert answer.status == 200
    configured.is_broken = False
    configured.write()
    await until(lambda: len(tree(parent)) == 3)
    await until_listening(parent, port)
    parent.terminate()
    assert await asyncio.to_thread(parent.wait, HANG_S) == 0


async def test_under_nohup_it_reloads_and_stays(
    processes: Processes, configured: Configured
) -> None:
    argv = ["nohup", *command_line.tidegate("serve", "--port", "0")]
    with processes.log_path.open("ab") as log:
        gateway = subprocess.Popen(
            argv, env=processes.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        await until(lambda: '"listening"' in processes.log_path.read_text())
        configured.has_kiosk = True
        (outcome,) = await reload(configured, gateway)
        assert outcome["changed"] == "channels + kiosk"
    finally:
        gateway.kill()
        gateway.wait()


@dataclass
class InTerminal:
    """A process in a terminal of its own, which a test can hang up."""

    process: subprocess.Popen[bytes]
    terminal: int

    def hang_up(self) -> None:
        os.close(self.terminal)
        self.terminal = -1


@asynccontextmanager
async def in_terminal(processes: Processes, *command: str) -> AsyncIterator[InTerminal]:
    terminal, inside = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    with processes.log_path.open("ab") as log:
        process = subprocess.Popen(
            command_line.tidegate(*command),
            env=processes.environment,
            stdin=inside,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=take_terminal,  # noqa: PLW1509  # one system call
        )
    os.close(inside)
    made = InTerminal(process, terminal)
    try:
        yield made
    finally:
        process.kill()
        process.wait()
        if made.terminal >= 0:
            made.hang_up()


@pytest.mark.parametrize(
    ("command", "begun"),
    [
        (("serve", "--port", "0"), '"listening"'),
        (("serve", "--port", "0", "--processes", "2"), '"listening"'),
        (("work",), '"working"'),
    ],
    ids=["serve", "serve of two", "work"],
)
async def test_in_a_terminal_it_reloads_and_ends_when_that_hangs_up(
    processes: Processes, configured: Configured, command: tuple[str, ...], begun: str
) -> None:
    count = 2 if "--processes" in command else 1
    async with in_terminal(processes, *command) as started:
        await until(lambda: processes.log_path.read_text().count(begun) == count)
        children = psutil.Process(started.process.pid).children(recursive=True)
        configured.has_kiosk = True
        for outcome in await reload(configured, started.process, count):
            assert outcome["changed"] == "channels + kiosk"
        started.hang_up()
        assert await asyncio.to_thread(started.process.wait, HANG_S) == 0
        assert "the terminal hung up" in processes.log_path.read_text()
        until_blocking(lambda: not any(child.is_running() for child in children))
