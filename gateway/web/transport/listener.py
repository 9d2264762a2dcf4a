"""The door: takes connections, reads what clients sent, and refuses in the same breath.

The loop would wake for every client and keep an object of its own, of the library's and of the
protocol's for each, all of which a refusal would touch. Here all clients are behind one descriptor:
one call tells who sent something, and whoever is refused costs a read, a look and a write. See
``ops/decisions/0012-the-door.md``.
"""

import asyncio
import contextlib
import logging
import os
import select
import socket
from collections.abc import Callable

from gateway.web.transport.client_transport import READ_BYTES, ClientTransport
from gateway.web.transport.connection import HttpConnection
from gateway.web.transport.early_rejection import EarlyRejection

_log = logging.getLogger(__name__)

_EVENTS_MAX = 1024
#: Connections taken in one turn, so that whoever is connected is not kept waiting for them.
_TAKEN_MAX = 64
#: Seconds between two turns while the CPU is short. What is on its way goes first then; and the
#: more come in one turn, the less each costs.
_TURN_S = 0.005
#: Seconds until connections are taken again where one could not be.
_SHORTAGE_S = 0.5


class Listener:
    """Serves one listener until it is closed."""

    def __init__(
        self,
        *,
        listener: socket.socket,
        backlog: int,
        protocol: Callable[[], HttpConnection],
        early_rejection: EarlyRejection,
        is_short: Callable[[], bool],
    ) -> None:
        """Listen. ``protocol`` makes one for each connection; ``is_short``: whether the CPU is."""
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._protocol = protocol
        self._early_rejection = early_rejection
        self._is_short = is_short
        self._sockets: dict[int, ClientTransport] = {}
        #: By descriptor: 1 where the next that comes begins a request, 2 where besides one was
        #: answered here since somebody asked; 0 where the protocol must see it.
        self.resting = bytearray(1024)
        listener.setblocking(False)
        listener.listen(backlog)
        self._number = listener.fileno()
        self._make_room(self._number)
        self._epoll = select.epoll()
        self._epoll.register(self._number, select.EPOLLIN)
        # None: the loop tells when somebody sent something.
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._epoll.fileno(), self._on_ready)

    def stop(self) -> None:
        """Take the connections that the kernel took for us, and no more after them.

        Closing alone would cut them off, and their senders believe that they are connected.
        """
        if self._number < 0:
            return
        with contextlib.suppress(OSError):
            while True:
                with contextlib.suppress(ConnectionAbortedError):
                    self._take(self._listener.accept()[0])
        with contextlib.suppress(OSError):
            self._epoll.unregister(self._number)
        self._number = -1
        self._listener.close()

    def close(self) -> None:
        """End what is still connected. Repeats are harmless."""
        self.stop()
        if self._epoll.closed:
            return
        for each in list(self._sockets.values()):
            each.abort()
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def watch(self, number: int, events: int) -> None:
        """Look out for these events of a connection."""
        self._epoll.modify(number, events)

    def forget(self, connection: ClientTransport) -> None:
        """Look after a connection no more."""
        del self._sockets[connection.number]
        self.resting[connection.number] = 0
        with contextlib.suppress(OSError):
            self._epoll.unregister(connection.number)

    def _on_ready(self) -> None:
        is_full = False
        try:
            is_full = self._turn()
        finally:
            # Whatever went wrong for one: the others are looked at again.
            self._plan(is_full)

    def _plan(self, is_full: bool) -> None:
        """See that another turn comes: soon while the CPU is short, or else when it is wanted."""
        if self._epoll.closed:
            return
        if self._is_short():
            if self._timer is None:
                self._loop.remove_reader(self._epoll.fileno())
            self._timer = self._loop.call_later(0.0 if is_full else _TURN_S, self._on_ready)
        elif self._timer is not None:
            self._timer = None
            self._loop.add_reader(self._epoll.fileno(), self._on_ready)

    def _turn(self) -> bool:
        """Refuse, or hand on, what was sent until now; return whether there may be more."""
        ready = self._epoll.poll(0, _EVENTS_MAX)
        self._early_rejection.begin_batch()
        try:
            self._serve(ready)
        finally:
            self._early_rejection.end_batch()
        return len(ready) == _EVENTS_MAX

    def _serve(self, ready: list[tuple[int, int]]) -> None:
        # Names for what is met with each request.
        resting, sockets, decide = self.resting, self._sockets, self._early_rejection.decide
        read, write = os.read, os.write
        for number, events in ready:
            found = None
            try:
                if not resting[number] or events != select.EPOLLIN:
                    self._hand_on(number, events)
                    continue
                data = read(number, READ_BYTES)
                found = decide(data)
                if not isinstance(found, bytes):
                    sockets[number].begin(data, found)
                    continue
                resting[number] = 2
                sent = write(number, found)
                if sent != len(found):
                    sockets[number].write(found[sent:])
            except BlockingIOError:
                # Nothing came after all; or nothing can be sent, as nothing is read there.
                if isinstance(found, bytes):
                    sockets[number].write(found)
            except Exception as exc:
                self._give_up(number, exc)

    def _give_up(self, number: int, exc: Exception) -> None:
        connection = self._sockets.get(number)
        if connection is None:
            raise exc
        if isinstance(exc, OSError):
            connection.lose(exc)
        else:
            connection.fail(exc)

    def _hand_on(self, number: int, events: int) -> None:
        # One that was given up in this turn may still be among the events.
        connection = self._sockets.get(number)
        if connection is not None:
            connection.on_events(events)
        elif number == self._number:
            self._take_waiting()

    def _take_waiting(self) -> None:
        try:
            for _ in range(_TAKEN_MAX):
                self._take(self._listener.accept()[0])
        except (BlockingIOError, ConnectionAbortedError):
            pass
        except OSError as exc:
            # No descriptor is left, most of all. It would be told again at once, without end.
            _log.warning("a connection can not be taken", extra={"reason": exc.strerror})
            self._epoll.unregister(self._number)
            self._loop.call_later(_SHORTAGE_S, self._listen_again)

    def _listen_again(self) -> None:
        if self._number >= 0 and not self._epoll.closed:
            self._epoll.register(self._number, select.EPOLLIN)

    def _take(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        number = connection.fileno()
        self._make_room(number)
        try:
            self._epoll.register(number, select.EPOLLIN)
        except OSError:
            connection.close()
            raise
        made = ClientTransport(door=self, connection=connection, protocol=self._protocol())
        self._sockets[number] = made
        made.start()

    def _make_room(self, number: int) -> None:
        if number >= len(self.resting):
            self.resting.extend(bytes(number))
