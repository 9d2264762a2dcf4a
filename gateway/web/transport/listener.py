"""The listener: accepts connections, reads requests, and rejects in the same loop iteration.

The event loop would wake for every client, with objects of the loop's, the transport's and the
protocol's for each, all of which a rejection would touch. Here all clients are behind one epoll
descriptor: one call returns who sent something, and a rejection costs one read, one decision and
one write. See ``ops/decisions/0012-epoll-listener.md``.
"""

import asyncio
import contextlib
import logging
import os
import select
import socket
from collections.abc import Callable

from gateway.web.transport.client_transport import (
    IN_CONNECTION,
    READ_BYTES,
    REJECTED,
    ClientTransport,
)
from gateway.web.transport.connection import HttpConnection
from gateway.web.transport.early_rejection import EarlyRejection

_log = logging.getLogger(__name__)

_EVENTS_MAX = 1024
#: Connections accepted in one batch, so that connected clients are not kept waiting for them.
_ACCEPTED_MAX = 64
#: Seconds between two batches while the CPU is short. Requests in progress go first then; and the
#: larger a batch, the less each request of it costs.
_INTERVAL_S = 0.005
#: Seconds until it accepts again after accepting failed.
_ACCEPT_RETRY_S = 0.5


class Listener:
    """Serves one listening socket until it is closed.

    A batch is what was ready at one call of epoll. Invariants: a batch in which one connection
    fails serves the others, and is followed by another; a descriptor is in ``_clients`` as long as
    epoll polls it.
    """

    def __init__(
        self,
        *,
        listening_socket: socket.socket,
        backlog: int,
        connection_factory: Callable[[], HttpConnection],
        early_rejection: EarlyRejection,
        is_cpu_short: Callable[[], bool],
    ) -> None:
        """Listen from now on. ``is_cpu_short`` is asked once per batch."""
        self._loop = asyncio.get_running_loop()
        self._socket = listening_socket
        self._connection_factory = connection_factory
        self._early_rejection = early_rejection
        self._is_cpu_short = is_cpu_short
        self._clients: dict[int, ClientTransport] = {}
        #: One of the states of ``client_transport`` for each descriptor.
        self.states = bytearray(1024)
        listening_socket.setblocking(False)
        listening_socket.listen(backlog)
        #: -1 once it no longer listens.
        self._descriptor = listening_socket.fileno()
        self._grow_states(self._descriptor)
        self._epoll = select.epoll()
        self._epoll.register(self._descriptor, select.EPOLLIN)
        # None: the loop reports when something is ready. Else when the next batch begins.
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._epoll.fileno(), self._on_ready)

    def stop(self) -> None:
        """Accept the connections that the kernel has taken, and none after them.

        Closing alone would reset them, although their clients know that they are connected.
        """
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):
            while True:
                with contextlib.suppress(ConnectionAbortedError):
                    self._accept(self._socket.accept()[0])
        with contextlib.suppress(OSError):
            self._epoll.unregister(self._descriptor)
        self._descriptor = -1
        self._socket.close()

    def close(self) -> None:
        """Stop, and end all connections. Repeats are harmless."""
        self.stop()
        if self._epoll.closed:
            return
        for client in list(self._clients.values()):
            client.abort()
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def set_events(self, descriptor: int, events: int) -> None:
        """Poll a client for these epoll events from now on."""
        self._epoll.modify(descriptor, events)

    def forget(self, transport: ClientTransport) -> None:
        """Poll for nothing of this client any more."""
        del self._clients[transport.descriptor]
        self.states[transport.descriptor] = IN_CONNECTION
        with contextlib.suppress(OSError):
            self._epoll.unregister(transport.descriptor)

    def _on_ready(self) -> None:
        is_full = False
        try:
            is_full = self._serve_batch()
        finally:
            # Whatever failed for one client, the others are served in the next batch.
            self._schedule(is_full)

    def _schedule(self, is_full: bool) -> None:
        """See that another batch follows: by a timer while the CPU is short, else when ready."""
        if self._epoll.closed:
            return
        if self._is_cpu_short():
            if self._timer is None:
                self._loop.remove_reader(self._epoll.fileno())
            self._timer = self._loop.call_later(0.0 if is_full else _INTERVAL_S, self._on_ready)
        elif self._timer is not None:
            self._timer = None
            self._loop.add_reader(self._epoll.fileno(), self._on_ready)

    def _serve_batch(self) -> bool:
        """Serve what is ready; return whether more may be."""
        ready = self._epoll.poll(0, _EVENTS_MAX)
        self._early_rejection.begin_batch()
        try:
            self._serve(ready)
        finally:
            self._early_rejection.end_batch()
        return len(ready) == _EVENTS_MAX

    def _serve(self, ready: list[tuple[int, int]]) -> None:
        # Locals, as each is used for every request.
        states, clients, decide = self.states, self._clients, self._early_rejection.decide
        read, write = os.read, os.write
        for descriptor, events in ready:
            decision = None
            try:
                # Zero is IN_CONNECTION.
                if not states[descriptor] or events != select.EPOLLIN:
                    self._on_events(descriptor, events)
                    continue
                data = read(descriptor, READ_BYTES)
                decision = decide(data)
                if not isinstance(decision, bytes):
                    clients[descriptor].deliver(data, decision)
                    continue
                states[descriptor] = REJECTED
                sent = write(descriptor, decision)
                if sent != len(decision):
                    clients[descriptor].write(decision[sent:])
            except BlockingIOError:
                # Nothing was received after all; or the client's receive window is full.
                if isinstance(decision, bytes):
                    clients[descriptor].write(decision)
            except Exception as exc:
                self._drop(descriptor, exc)

    def _drop(self, descriptor: int, exc: Exception) -> None:
        client = self._clients.get(descriptor)
        if client is None:
            raise exc
        if isinstance(exc, OSError):
            client.disconnect(exc)
        else:
            client.fail(exc)

    def _on_events(self, descriptor: int, events: int) -> None:
        # A client that was disconnected within this batch may still be among the events.
        client = self._clients.get(descriptor)
        if client is not None:
            client.on_events(events)
        elif descriptor == self._descriptor:
            self._accept_waiting()

    def _accept_waiting(self) -> None:
        try:
            for _ in range(_ACCEPTED_MAX):
                self._accept(self._socket.accept()[0])
        except (BlockingIOError, ConnectionAbortedError):
            pass
        except OSError as exc:
            # Mostly no descriptor is left. Polled on, it would be ready again at once, for ever.
            _log.warning("cannot accept a connection", extra={"reason": exc.strerror})
            self._epoll.unregister(self._descriptor)
            self._loop.call_later(_ACCEPT_RETRY_S, self._listen_again)

    def _listen_again(self) -> None:
        if self._descriptor >= 0 and not self._epoll.closed:
            self._epoll.register(self._descriptor, select.EPOLLIN)

    def _accept(self, client_socket: socket.socket) -> None:
        client_socket.setblocking(False)
        descriptor = client_socket.fileno()
        self._grow_states(descriptor)
        try:
            self._epoll.register(descriptor, select.EPOLLIN)
        except OSError:
            client_socket.close()
            raise
        client = ClientTransport(
            listener=self, client_socket=client_socket, connection=self._connection_factory()
        )
        self._clients[descriptor] = client
        client.start()

    def _grow_states(self, descriptor: int) -> None:
        if descriptor >= len(self.states):
            self.states.extend(bytes(descriptor))
