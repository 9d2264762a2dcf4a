"""SIGTERM during a request: begun requests are finished, idle connections delay nothing."""

import asyncio
import signal
import subprocess

import asyncpg
import msgspec
import pytest

from gateway.runtime.settings import Settings
from ops.harness.ports import free_port
from tests.support.patience import HANG_S, until
from tests.support.processes import Processes

#: What a drain may take at most: longer than any test, so that what ends has not run into it.
ENDLESS_S = 2 * HANG_S


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, drain_s=ENDLESS_S)


async def send_half(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str, body: bytes
) -> bytes:
    """Send half the body once its handler waits for it; return the other half."""
    fields = f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + fields).encode())
    async with asyncio.timeout(HANG_S):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body[: len(body) // 2])
    await writer.drain()
    return body[len(body) // 2 :]


async def begin_drain(processes: Processes, gateway: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM; return once the gateway drains."""
    gateway.send_signal(signal.SIGTERM)
    await until(lambda: '"draining"' in processes.log_path.read_text())


async def test_a_body_in_transit_is_read_and_answered(
    processes: Processes, order_json: bytes
) -> None:
    port = free_port()
    token = await processes.make_token("ingest")
    gateway = await asyncio.to_thread(processes.serve, port=port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\n"
    )
    rest = await send_half(reader, writer, head, order_json)
    await begin_drain(processes, gateway)
    # Longer than an idle connection is waited for.
    await asyncio.sleep(1.0)
    writer.write(rest)
    async with asyncio.timeout(HANG_S):
        answer = await reader.read()
    status, *headers = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert status.startswith(b"HTTP/1.1 201 ")
    assert b"Connection: close" in headers
    writer.close()
    assert await asyncio.to_thread(gateway.wait, HANG_S) == 0


async def test_a_kept_alive_connection_is_closed_with_its_next_answer(
    processes: Processes,
) -> None:
    port = free_port()
    gateway = await asyncio.to_thread(processes.serve, port=port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    greeting = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    writer.write(greeting)
    assert b"Connection: close" not in await reader.readuntil(b"}")
    await begin_drain(processes, gateway)
    writer.write(greeting)
    async with asyncio.timeout(HANG_S):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"Connection: close" in answer
    writer.close()
    assert await asyncio.to_thread(gateway.wait, HANG_S) == 0


async def test_idle_connections_do_not_delay_the_drain(processes: Processes) -> None:
    port = free_port()
    gateway = await asyncio.to_thread(processes.serve, port=port)
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
    silent[0][1].write(b"POST /v1/orders HTTP/1.1\r\nHo")
    await asyncio.sleep(0.2)
    gateway.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(gateway.wait, HANG_S) == 0
    for reader, writer in silent:
        assert await reader.read() == b""
        writer.close()


# --- an operator's override, on the admin port ---

_OVERRIDE = b'{"mode":"shed","for_s":600,"reason":"rebuild"}'


async def with_half_an_override(
    processes: Processes,
) -> tuple[subprocess.Popen[bytes], asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """Send half an override, then SIGTERM; return the gateway, the connection, the other half."""
    admin_port = free_port()
    processes.environment["TIDEGATE_ADMIN_PORT"] = str(admin_port)
    token = await processes.make_token("operate")
    gateway = await asyncio.to_thread(processes.serve, port=free_port())
    reader, writer = await asyncio.open_connection("127.0.0.1", admin_port)
    head = (
        f"PUT /v1/admin/modes/order_lists HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\n"
    )
    rest = await send_half(reader, writer, head, _OVERRIDE)
    await begin_drain(processes, gateway)
    return gateway, reader, writer, rest


async def logged(ledger: "asyncpg.Pool[asyncpg.Record]") -> tuple[int, list[str]]:
    """Return the number of stored overrides, and their actions in the audit log."""
    stored = await ledger.fetchval("SELECT count(*) FROM switches")
    rows = await ledger.fetch("SELECT action FROM audit_log WHERE action LIKE 'switch%'")
    return stored, [row["action"] for row in rows]


async def test_half_an_override_that_is_completed_is_stored_and_answered(
    processes: Processes, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    gateway, reader, writer, rest = await with_half_an_override(processes)
    assert await logged(ledger) == (0, [])
    writer.write(rest)
    async with asyncio.timeout(HANG_S):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"Connection: close" in answer
    writer.close()
    assert await asyncio.to_thread(gateway.wait, HANG_S) == 0
    assert await logged(ledger) == (1, ["switch.set"])


async def test_half_an_override_is_not_stored_and_does_not_delay_the_drain(
    processes: Processes, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    gateway, reader, writer, _ = await with_half_an_override(processes)
    assert await asyncio.to_thread(gateway.wait, HANG_S) == 0
    async with asyncio.timeout(HANG_S):
        answer = await reader.read()
    assert b"HTTP/1.1 2" not in answer
    writer.close()
    assert await logged(ledger) == (0, [])
    assert "Traceback" not in processes.log_path.read_text()
