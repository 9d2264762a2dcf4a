"""The door: connections are read and refused without the loop, and behave as they would with it."""

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
from gateway.overload.admission import Overload, Slot
from gateway.runtime import settings as configuration
from gateway.web import process
from gateway.web.transport import listener as doors
from gateway.web.transport.client_transport import ClientTransport
from gateway.web.transport.early_rejection import EarlyRejection
from gateway.web.transport.listener import Listener
from tests.support.site import Site
from tests.web.support import PATIENCE_S, Answer, Wire, order_bytes, read_answer
from tests.web.test_early_rejection import full, last, post

_IDLE_S = 0.4


@pytest.fixture
def settings(settings: configuration.Settings) -> configuration.Settings:
    return msgspec.structs.replace(settings, keepalive_s=_IDLE_S)


@pytest.fixture
def overload(site: Site) -> Iterator[Overload]:
    overload = site.gateway.overload
    yield overload
    assert overload.slots.in_use == 0, "a slot was not given back"


async def _next(reader: asyncio.StreamReader) -> Answer:
    async with asyncio.timeout(PATIENCE_S):
        answer = await read_answer(reader)
    assert answer is not None, "the connection ended"
    return answer


async def _refused(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(post(wire))
    assert (await _next(reader)).status == 503


async def test_whoever_is_refused_again_and_again_is_not_idle(
    wire: Wire, overload: Overload
) -> None:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    with full(overload):
        for _ in range(5):
            await _refused(wire, reader, writer)
            await asyncio.sleep(0.6 * _IDLE_S)
    writer.write(last(wire))
    assert (await _next(reader)).status == 200
    writer.close()


async def test_whoever_was_refused_and_is_idle_is_let_go(
    site: Site, wire: Wire, overload: Overload
) -> None:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    with full(overload):
        await _refused(wire, reader, writer)
        async with asyncio.timeout(4 * _IDLE_S):
            assert await reader.read() == b""
    writer.close()


async def test_answers_that_were_not_read_at_once_come_whole_and_in_order(
    wire: Wire, overload: Overload
) -> None:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect((wire.host, wire.port))
    client.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=client, limit=1024)
    count = 60
    with full(overload):
        for _ in range(count):
            writer.write(post(wire))
            # Each by itself: none of them is behind another.
            await asyncio.sleep(0.002)
        for _ in range(count):
            assert (await _next(reader)).status == 503
    writer.write(wire.request("POST", "/v1/orders", order_bytes(), [("X", "y")]))
    assert (await _next(reader)).status in (201, 415)
    writer.close()


async def test_whoever_was_refused_may_be_slow_with_the_next_head(
    wire: Wire, overload: Overload
) -> None:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    with full(overload):
        for _ in range(4):
            await asyncio.sleep(0.2 * _IDLE_S)
            await _refused(wire, reader, writer)
        # It would have been idle amid this head, had nothing been refused.
        writer.write(post(wire)[:40])
        await asyncio.sleep(0.5 * _IDLE_S)
        writer.write(post(wire)[40:])
        assert (await _next(reader)).status == 503
    writer.close()


async def test_there_is_no_room_for_a_turn_and_no_longer(site: Site, overload: Overload) -> None:
    early_rejection, wire = site.server.early_rejection, Wire("g", 0, "t")
    asked = post(wire)
    early_rejection.begin_batch()
    with full(overload):
        assert isinstance(early_rejection.decide(asked), bytes)
    # Decided a moment ago, and nothing was answered since.
    assert isinstance(early_rejection.decide(asked), bytes)
    early_rejection.end_batch()
    found = early_rejection.decide(asked)
    assert isinstance(found, Slot)
    found.leave()
    assert overload._refusing.tell()[ORDER_SUBMISSION.name, "slots"] == 2


async def test_an_error_nobody_meant_ends_one_connection(
    wire: Wire, overload: Overload, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide, told = EarlyRejection.decide, []

    def failing(self: EarlyRejection, data: bytes) -> object:
        if b"X-Fail" in data:
            raise ZeroDivisionError
        return decide(self, data)

    monkeypatch.setattr(EarlyRejection, "decide", failing)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    assert await wire.answers(post(wire, ("X-Fail", "1"))) == []
    assert [type(each) for each in told] == [ZeroDivisionError]
    assert (await wire.ask("GET", "/healthz")).status == 200


@pytest.mark.parametrize("is_short", [False, True])
async def test_with_little_cpu_all_are_served_the_same(
    wire: Wire, overload: Overload, monkeypatch: pytest.MonkeyPatch, is_short: bool
) -> None:
    monkeypatch.setattr(Overload, "is_short", lambda self: is_short)
    asked = [wire.submit(order_bytes()) for _ in range(20)]
    assert {answer.status for answer in await asyncio.gather(*asked)} == {201}
    is_short = not is_short
    assert (await wire.ask("GET", "/healthz")).status == 200
    assert (await wire.ask("GET", "/healthz")).status == 200


@asynccontextmanager
async def _another(site: Site) -> AsyncIterator[tuple[Listener, Wire]]:
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    door = process.open_listener(site.server, listener, site.gateway)
    yield door, Wire(host, port, site.token)
    door.close()


class _Failing:
    """A listener that can not take its next connections."""

    def __init__(self, listener: socket.socket, number: int) -> None:
        self._listener = listener
        self._error = OSError(number, os.strerror(number))
        self.times = 2

    def accept(self) -> tuple[socket.socket, object]:
        if self.times:
            self.times -= 1
            raise self._error
        return self._listener.accept()

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("is_short", [False, True])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.EPROTO, errno.EPERM])
async def test_where_a_connection_can_not_be_taken_it_waits_and_the_loop_does_not_spin(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
    is_short: bool,
) -> None:
    monkeypatch.setattr(doors, "_ACCEPT_RETRY_S", 0.1)
    monkeypatch.setattr(Overload, "is_short", lambda self: is_short)
    async with _another(site) as (door, wire):
        door._socket = _Failing(door._socket, number)  # type: ignore[assignment]
        assert (await wire.ask("GET", "/healthz")).status == 200
    said = [vars(record) for record in caplog.records if record.name == doors.__name__]
    assert [record["reason"] for record in said] == [os.strerror(number)] * 2


@pytest.mark.parametrize("is_short", [False, True])
async def test_an_error_in_one_turn_stops_none_after_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, is_short: bool
) -> None:
    monkeypatch.setattr(Overload, "is_short", lambda self: is_short)
    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    async with _another(site) as (door, wire):
        assert (await wire.ask("GET", "/healthz")).status == 200
        accept = door._accept

        def failing(connection: socket.socket) -> None:
            monkeypatch.setattr(door, "_accept", accept)
            connection.close()
            raise ZeroDivisionError

        monkeypatch.setattr(door, "_accept", failing)
        assert await wire.answers(last(wire)) == []
        assert (await wire.ask("GET", "/healthz")).status == 200
    assert [type(each) for each in told] == [ZeroDivisionError]


class _Deaf(asyncio.Protocol):
    """Takes note of what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def data_received(self, data: bytes) -> None:
        self.told.append(data)

    def pause_writing(self) -> None:
        pass

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append(type(exc))


async def test_nothing_is_handed_on_of_a_client_that_turned_out_to_be_gone(site: Site) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    async with _another(site) as (door, _):
        protocol = _Deaf()
        made = ClientTransport(listener=door, client_socket=ours, connection=protocol)  # type: ignore[arg-type]
        door._clients[made.descriptor] = made
        door._epoll.register(made.descriptor, select.EPOLLIN)
        made.write(b"x" * 4_000_000)
        assert made.get_write_buffer_size()
        theirs.send(b"GET")
        theirs.close()
        made.on_events(select.EPOLLIN | select.EPOLLOUT | select.EPOLLHUP)
        await asyncio.sleep(0)
    assert protocol.told == [BrokenPipeError] or protocol.told == [ConnectionResetError]


async def test_a_connection_that_can_not_be_watched_is_let_go(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "_ACCEPT_RETRY_S", 0.1)
    async with _another(site) as (door, wire):
        watch, door._epoll = door._epoll, _Full(door._epoll)  # type: ignore[assignment]
        client = socket.create_connection((wire.host, wire.port))
        reader, writer = await asyncio.open_connection(sock=client)
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == b""
        door._epoll = watch
        assert (await wire.ask("GET", "/healthz")).status == 200
        writer.close()


class _Full:
    """As many descriptors are watched as a user may; but for the listener's."""

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


async def test_with_a_thousand_descriptors_open_it_listens_all_the_same(site: Site) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(open(os.devnull, "rb"))
        async with _another(site) as (_, wire):
            assert (await wire.ask("GET", "/healthz")).status == 200


async def test_connections_that_ended_leave_no_circle_behind(site: Site, wire: Wire) -> None:
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


async def test_who_was_connected_when_the_door_closed_is_served(site: Site) -> None:
    async with _another(site) as (door, wire):
        clients = [socket.create_connection((wire.host, wire.port)) for _ in range(100)]
        door.stop()
        reader, writer = await asyncio.open_connection(sock=clients[-1])
        writer.write(last(wire))
        assert (await _next(reader)).status == 200
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(wire.host, wire.port)
        writer.close()
        for client in clients:
            client.close()


async def test_a_closed_door_leaves_nothing_behind(site: Site) -> None:
    async with _another(site) as (door, wire):
        reader, writer = await asyncio.open_connection(wire.host, wire.port)
        await asyncio.sleep(0.05)
        assert len(site.server.connections) == 1
        door.close()
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == b""
            while site.server.connections:
                await asyncio.sleep(0)
        door.close()
        writer.close()
