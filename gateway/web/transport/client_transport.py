"""The transport of one client's connection: reads and writes its socket for the listener.

It behaves as asyncio's transports do, without the event loop: all clients share one epoll
descriptor (``listener.py``), and a request that is rejected early touches none of these objects.
"""

import asyncio
import select
import socket
from typing import Any, Final, Protocol

from gateway.web.transport.early_rejection import Decision

READ_BYTES = 64 * 1024
#: Unsent bytes above which the connection pauses writing, and below which it resumes.
_HIGH_BYTES = 64 * 1024
_LOW_BYTES = 16 * 1024

#: Values of ``Listener.states``, by descriptor. They are plain bytes, read once per request.
#: A request is being read or answered: what is received next goes to the connection.
IN_CONNECTION: Final = 0
#: What is received next begins a request: the listener decides about it.
BETWEEN_REQUESTS: Final = 1
#: The same, and the listener has rejected a request since ``take_was_rejected`` was called.
REJECTED: Final = 2


class _Listener(Protocol):
    """What a transport needs of the listener it belongs to."""

    states: bytearray

    def set_events(self, descriptor: int, events: int) -> None:
        """Poll the descriptor for these epoll events from now on."""
        ...

    def forget(self, transport: "ClientTransport") -> None:
        """Poll for nothing of this client any more."""
        ...


class _Connection(Protocol):
    """What a transport needs of the protocol above it (``connection.HttpConnection``)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...

    def begin_request(self, data: bytes, decision: Decision) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def eof_received(self) -> bool | None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def connection_lost(self, exc: BaseException | None) -> None: ...


class ClientTransport(asyncio.Transport):
    """One connection of a client, as a transport of asyncio except where documented.

    Invariants: the listener's state of its descriptor is ``IN_CONNECTION`` while anything is
    unsent or it is closing; ``connection_lost`` is called once, in a later loop iteration than the
    call that ended it, and the descriptor is closed after that.
    """

    __slots__ = (
        "_connection", "_descriptor", "_events", "_is_closing", "_is_eof_pending", "_is_lost",
        "_is_writing_paused", "_listener", "_socket", "_unsent", "_was_rejected",
    )  # fmt: skip

    def __init__(
        self, *, listener: _Listener, client_socket: socket.socket, connection: _Connection
    ) -> None:
        super().__init__()
        self._listener = listener
        self._socket = client_socket
        self._descriptor = client_socket.fileno()
        self._connection = connection
        self._events = select.EPOLLIN
        self._unsent = bytearray()
        self._is_writing_paused = False
        # Whether the sending side is to be shut down once nothing is unsent.
        self._is_eof_pending = False
        self._is_closing = False
        self._is_lost = False
        # Whether the listener had rejected a request before it delivered the current one.
        self._was_rejected = False

    @property
    def descriptor(self) -> int:
        """The socket's file descriptor."""
        return self._descriptor

    def start(self) -> None:
        """Tell the connection that it is connected."""
        try:
            self._connection.connection_made(self)
            self.expect_request()
        except Exception as exc:
            self.fail(exc)

    def deliver(self, data: bytes, decision: Decision) -> None:
        """Pass on bytes that begin a request, with the decision about it; b"": end of input."""
        states = self._listener.states
        self._was_rejected = states[self._descriptor] == REJECTED
        states[self._descriptor] = IN_CONNECTION
        try:
            if data:
                self._connection.begin_request(data, decision)
            else:
                self._end_input()
        except Exception as exc:
            self.fail(exc)

    def on_events(self, events: int) -> None:
        """Send and read as far as possible without waiting."""
        try:
            if events & select.EPOLLOUT:
                self._send_unsent()
            if self._is_lost:
                return
            if self._events & select.EPOLLIN:
                if events & ~select.EPOLLOUT:
                    self._read()
            elif events & (select.EPOLLHUP | select.EPOLLERR):
                # Reading is paused and nothing more can be received.
                self.disconnect(None)
        except Exception as exc:
            self.fail(exc)

    def expect_request(self) -> None:
        """Let the listener decide about what is received next, which begins a request."""
        if not (self._unsent or self._is_closing):
            self._listener.states[self._descriptor] = BETWEEN_REQUESTS

    def take_was_rejected(self) -> bool:
        """Return whether the listener rejected a request of this client since the last call."""
        was_rejected, self._was_rejected = self._was_rejected, False
        states = self._listener.states
        if states[self._descriptor] == REJECTED:
            states[self._descriptor] = BETWEEN_REQUESTS
            return True
        return was_rejected

    def disconnect(self, exc: Exception | None) -> None:
        """End the connection now; what is unsent is dropped. Repeats are harmless."""
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        self._unsent.clear()
        self._listener.forget(self)
        asyncio.get_running_loop().call_soon(self._finish, exc)

    def fail(self, exc: Exception) -> None:
        """End this connection for an unexpected error, and report it to the loop."""
        context = {"message": "a connection failed", "exception": exc, "transport": self}
        asyncio.get_running_loop().call_exception_handler(context)
        self.disconnect(exc)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send what the kernel takes at once; the rest is buffered and sent later."""
        if self._is_eof_pending:
            raise RuntimeError("write after write_eof")
        if self._is_lost or not data:
            return
        sent = 0
        if not self._unsent:
            sent = self._try_send(data)
            if sent == len(data) or self._is_lost:
                return
            self._listener.states[self._descriptor] = IN_CONNECTION
            self._set_events(self._events | select.EPOLLOUT)
        self._unsent += memoryview(data)[sent:]
        if len(self._unsent) > _HIGH_BYTES and not self._is_writing_paused:
            self._is_writing_paused = True
            self._connection.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        """Send these one after the other."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """Shut down the sending side once nothing is unsent."""
        self._is_eof_pending = True
        if not self._unsent:
            self._shut_down_sending()

    def can_write_eof(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Stop reading; end the connection once nothing is unsent."""
        if self._is_closing:
            return
        self._is_closing = True
        self._listener.states[self._descriptor] = IN_CONNECTION
        self._set_events(self._events & ~select.EPOLLIN)
        if not self._unsent:
            self.disconnect(None)

    def abort(self) -> None:
        """End the connection now."""
        self.disconnect(None)

    def is_closing(self) -> bool:
        """Return whether it is closing or closed."""
        return self._is_closing

    def pause_reading(self) -> None:
        """Leave what the client sends in the kernel (back-pressure). Repeats are harmless."""
        self._set_events(self._events & ~select.EPOLLIN)

    def resume_reading(self) -> None:
        """Read again. Repeats are harmless."""
        if not self._is_closing:
            self._set_events(self._events | select.EPOLLIN)

    def is_reading(self) -> bool:
        """Return whether it reads."""
        return bool(self._events & select.EPOLLIN)

    def get_write_buffer_size(self) -> int:
        """Return the number of unsent bytes."""
        return len(self._unsent)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the "socket", or while it is connected its "peername" or "sockname"."""
        if name == "socket":
            return self._socket
        try:
            if name == "peername":
                return self._socket.getpeername()
            if name == "sockname":
                return self._socket.getsockname()
        except OSError:
            pass
        return default

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as exc:
            self.disconnect(exc)
            return
        if data:
            self._connection.data_received(data)
        else:
            self._end_input()

    def _end_input(self) -> None:
        self._set_events(self._events & ~select.EPOLLIN)
        if not self._connection.eof_received():
            self.close()

    def _try_send(self, data: bytes | bytearray | memoryview) -> int:
        """Return the number of bytes the kernel took; an error ends the connection."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            self.disconnect(exc)
            return 0

    def _send_unsent(self) -> None:
        sent = self._try_send(self._unsent)
        if not sent:
            return
        del self._unsent[:sent]
        if not self._unsent:
            self._set_events(self._events & ~select.EPOLLOUT)
            if self._is_eof_pending:
                self._shut_down_sending()
        if self._is_writing_paused and len(self._unsent) <= _LOW_BYTES:
            self._is_writing_paused = False
            self._connection.resume_writing()
        if self._is_closing and not self._unsent:
            self.disconnect(None)

    def _shut_down_sending(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as exc:
            self.disconnect(exc)

    def _set_events(self, events: int) -> None:
        if events != self._events and not self._is_lost:
            self._events = events
            self._listener.set_events(self._descriptor, events)

    def _finish(self, exc: Exception | None) -> None:
        try:
            self._connection.connection_lost(exc)
        finally:
            self._socket.close()
            # They refer to each other, and the garbage collector runs seldom.
            del self._connection
