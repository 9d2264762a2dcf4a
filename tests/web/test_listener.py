"""The listener: connections behave as on the loop's own transports."""

import asyncio
import contextlib
import errno
import gc
import os
import select
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from gateway.domain.features import ORDER_SUBMISSION
from gateway.overload.admission import Admission
from gateway.overload.concurrency import Slot
from gateway.runtime import settings as configuration
from gateway.web import process
from gateway.web.transport import listener as listener_module
from gateway.web.transport.client_transport import ClientTransport
from gateway.web.transport.early_rejection import EarlyRejection
from gateway.web.transport.listener import Listener
from tests.support.patience import HANG_S, until
from tests.support.site import Site
from tests.web.support import Answer, Wire, order_bytes, read_answer
from tests.web.test_early_rejection import full, last, post

#: For the tests in which an idle connection is to be closed, or is not idle. In the latter it is
#: idle for so much less that a busy machine does not make up for it.
_IDLE_S = 2.0


@pytest.fixture
def keepalive_s() -> float:
    return 2 * HANG_S


@pytest.fixture
def settings(settings: configuration.Settings, keepalive_s: float) -> configuration.Settings:
    return msgspec.structs.replace(settings, keepalive_s=keepalive_s)


@pytest.fixture
def admission(site: Site) -> Iterator[Admission]:
    admission = site.gateway.admission
    yield admission
    assert admission.concurrency.in_use == 0, "a slot was leaked"


async def _next(reader: asyncio.StreamReader) -> Answer:
    async with asyncio.timeout(HANG_S):
        answer = await read_answer(reader)
    assert answer is not None, "the connection ended"
    return answer


async def _rejected(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(post(wire))
    assert (await _next(reader)).status == 503


@pytest.mark.parametrize("keepalive_s", [_IDLE_S])
async def test_a_client_that_is_rejected_repeatedly_is_not_idle(
    wire: Wire, admission: Admission
) -> None:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    with full(admission):
        for _ in range(6):
            await _rejected(wire, reader, writer)
            await asyncio.sleep(0.25 * _IDLE_S)
    writer.write(last(wire))
    assert (await _next(reader)).status == 200
    writer.close()


@pytest.mark.parametrize("keepalive_s", [0.4])
async def test_a_rejected_client_that_is_idle_is_disconnected(
    site: Site, wire: Wire, admission: Admission
) -> None:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    with full(admission):
        await _rejected(wire, reader, writer)
        async with asyncio.timeout(HANG_S):
            assert await reader.read() == b""
    writer.close()


async def test_responses_that_are_read_late_arrive_whole_and_in_order(
    wire: Wire, admission: Admission
) -> None:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect((wire.host, wire.port))
    client.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=client, limit=1024)
    count = 60
    with full(admission):
        for _ in range(count):
            writer.write(post(wire))
            # Each by itself: none of them is behind another.
            await asyncio.sleep(0.002)
        for _ in range(count):
            assert (await _next(reader)).status == 503
    writer.write(wire.request("POST", "/v1/orders", order_bytes(), [("X", "y")]))
    assert (await _next(reader)).status in (201, 415)
    writer.close()


@pytest.mark.parametrize("keepalive_s", [_IDLE_S])
async def test_the_next_head_after_a_rejection_may_be_slow(
    wire: Wire, admission: Admission
) -> None:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    with full(admission):
        for _ in range(4):
            await asyncio.sleep(0.2 * _IDLE_S)
            await _rejected(wire, reader, writer)
        # Without the rejections it would have become idle within this head.
        writer.write(post(wire)[:40])
        await asyncio.sleep(0.5 * _IDLE_S)
        writer.write(post(wire)[40:])
        assert (await _next(reader)).status == 503
    writer.close()


async def test_a_lack_of_headroom_lasts_for_one_batch(site: Site, admission: Admission) -> None:
    early_rejection, wire = site.server.early_rejection, Wire("g", 0, "t")
    request = post(wire)
    early_rejection.begin_batch()
    with full(admission):
        assert isinstance(early_rejection.decide(request), bytes)
    # Of the same batch, in which nothing is answered.
    assert isinstance(early_rejection.decide(request), bytes)
    early_rejection.end_batch()
    found = early_rejection.decide(request)
    assert isinstance(found, Slot)
    found.leave()
    assert admission.rejections.take()[ORDER_SUBMISSION.name, "slots"] == 2


async def test_an_unexpected_error_ends_one_connection(
    wire: Wire, admission: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide, errors = EarlyRejection.decide, []

    def failing(self: EarlyRejection, data: bytes) -> object:
        if b"X-Fail" in data:
            raise ZeroDivisionError
        return decide(self, data)

    monkeypatch.setattr(EarlyRejection, "decide", failing)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    assert await wire.answers(post(wire, ("X-Fail", "1"))) == []
    assert [type(each) for each in errors] == [ZeroDivisionError]
    assert (await wire.ask("GET", "/healthz")).status == 200


@pytest.mark.parametrize("is_short", [False, True])
async def test_every_client_is_served_while_the_cpu_is_short(
    wire: Wire, admission: Admission, monkeypatch: pytest.MonkeyPatch, is_short: bool
) -> None:
    monkeypatch.setattr(Admission, "is_short", lambda self: is_short)
    asked = [wire.submit(order_bytes()) for _ in range(20)]
    assert {answer.status for answer in await asyncio.gather(*asked)} == {201}
    is_short = not is_short
    assert (await wire.ask("GET", "/healthz")).status == 200
    assert (await wire.ask("GET", "/healthz")).status == 200


@asynccontextmanager
async def _another(site: Site) -> AsyncIterator[tuple[Listener, Wire]]:
    listening_socket = socket.create_server(("127.0.0.1", 0))
    host, port = listening_socket.getsockname()
    opened = process.open_listener(site.server, listening_socket, site.gateway)
    yield opened, Wire(host, port, site.token)
    opened.close()


class _Failing:
    """A listening socket whose next two calls of accept fail."""

    def __init__(self, listening_socket: socket.socket, number: int) -> None:
        self._socket = listening_socket
        self._error = OSError(number, os.strerror(number))
        self.times = 2

    def accept(self) -> tuple[socket.socket, object]:
        if self.times:
            self.times -= 1
            raise self._error
        return self._socket.accept()

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize("is_short", [False, True])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.EPROTO, errno.EPERM])
async def test_when_accepting_fails_it_is_retried_later_and_the_loop_does_not_spin(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
    is_short: bool,
) -> None:
    monkeypatch.setattr(listener_module, "_ACCEPT_RETRY_S", 0.1)
    monkeypatch.setattr(Admission, "is_short", lambda self: is_short)
    async with _another(site) as (listener, wire):
        listener._socket = _Failing(listener._socket, number)  # type: ignore[assignment]
        assert (await wire.ask("GET", "/healthz")).status == 200
    logged = [vars(record) for record in caplog.records if record.name == listener_module.__name__]
    assert [record["reason"] for record in logged] == [os.strerror(number)] * 2


@pytest.mark.parametrize("is_short", [False, True])
async def test_an_error_in_one_batch_does_not_stop_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch, is_short: bool
) -> None:
    monkeypatch.setattr(Admission, "is_short", lambda self: is_short)
    errors: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    async with _another(site) as (listener, wire):
        assert (await wire.ask("GET", "/healthz")).status == 200
        accept = listener._accept

        def failing(connection: socket.socket) -> None:
            monkeypatch.setattr(listener, "_accept", accept)
            connection.close()
            raise ZeroDivisionError

        monkeypatch.setattr(listener, "_accept", failing)
        assert await wire.answers(last(wire)) == []
        assert (await wire.ask("GET", "/healthz")).status == 200
    assert [type(each) for each in errors] == [ZeroDivisionError]


class _Recorder(asyncio.Protocol):
    """Records the calls it gets, and never sends."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def data_received(self, data: bytes) -> None:
        self.calls.append(data)

    def pause_writing(self) -> None:
        pass

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append(type(exc))


async def test_nothing_is_received_of_a_client_found_gone_while_sending(site: Site) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    async with _another(site) as (listener, _):
        protocol = _Recorder()
        made = ClientTransport(listener=listener, client_socket=ours, connection=protocol)  # type: ignore[arg-type]
        listener._clients[made.descriptor] = made
        listener._epoll.register(made.descriptor, select.EPOLLIN)
        made.write(b"x" * 4_000_000)
        assert made.get_write_buffer_size()
        theirs.send(b"GET")
        theirs.close()
        made.on_events(select.EPOLLIN | select.EPOLLOUT | select.EPOLLHUP)
        await asyncio.sleep(0)
    assert protocol.calls == [BrokenPipeError] or protocol.calls == [ConnectionResetError]


async def test_a_connection_that_cannot_be_polled_is_closed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "_ACCEPT_RETRY_S", 0.1)
    async with _another(site) as (listener, wire):
        watch, listener._epoll = listener._epoll, _Full(listener._epoll)  # type: ignore[assignment]
        client = socket.create_connection((wire.host, wire.port))
        reader, writer = await asyncio.open_connection(sock=client)
        async with asyncio.timeout(HANG_S):
            assert await reader.read() == b""
        listener._epoll = watch
        assert (await wire.ask("GET", "/healthz")).status == 200
        writer.close()


class _Full:
    """An epoll that cannot take one more descriptor, except once."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll
        self._is_full = True

    def register(self, number: int, events: int) -> None:
        is_full, self._is_full = self._is_full, False
        if is_full:
            raise OSError(errno.ENOSPC, "no room")
        self._epoll.register(number, events)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)


async def test_it_listens_on_descriptors_above_a_thousand(site: Site) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(open(os.devnull, "rb"))
        async with _another(site) as (_, wire):
            assert (await wire.ask("GET", "/healthz")).status == 200


async def test_ended_connections_leave_no_reference_cycle(site: Site, wire: Wire) -> None:
    async def connect() -> None:
        _, writer = await asyncio.open_connection(wire.host, wire.port)
        writer.write(last(wire))
        await writer.drain()
        while site.server.connections:
            await asyncio.sleep(0.01)
        writer.close()

    await connect()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            await connect()
        await asyncio.sleep(0.05)
        alive = sum(type(each) is ClientTransport for each in gc.get_objects())
    finally:
        gc.enable()
    assert alive < 3


async def test_clients_connected_before_stop_are_served(site: Site) -> None:
    async with _another(site) as (listener, wire):
        clients = [socket.create_connection((wire.host, wire.port)) for _ in range(100)]
        listener.stop()
        reader, writer = await asyncio.open_connection(sock=clients[-1])
        writer.write(last(wire))
        assert (await _next(reader)).status == 200
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(wire.host, wire.port)
        writer.close()
        for client in clients:
            client.close()


async def test_close_ends_all_connections(site: Site) -> None:
    async with _another(site) as (listener, wire):
        reader, writer = await asyncio.open_connection(wire.host, wire.port)
        await until(lambda: len(site.server.connections) == 1)
        listener.close()
        async with asyncio.timeout(HANG_S):
            assert await reader.read() == b""
            while site.server.connections:
                await asyncio.sleep(0)
        listener.close()
        writer.close()
