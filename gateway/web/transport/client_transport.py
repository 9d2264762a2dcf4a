"""Sockets of clients: transports that the door reads from and writes to by itself.

They are what asyncio has for a transport, but for the loop: it sees one descriptor for all of them
(``listener.py`` beside this file), and a request that is refused touches none of these objects.
"""

import asyncio
import select
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.overload.admission import Slot
    from gateway.web.transport.connection import HttpConnection
    from gateway.web.transport.early_rejection import RejectedRequest
    from gateway.web.transport.listener import Listener

READ_BYTES = 64 * 1024
#: Unsent bytes above which whoever writes is told to wait, and below which to go on.
_HIGH_BYTES = 64 * 1024
_LOW_BYTES = 16 * 1024


class ClientTransport(asyncio.Transport):
    """One connection of a client. Behaves as the transports of asyncio do, where not said."""

    __slots__ = (
        "_door", "_events", "_is_closing", "_is_eof_due", "_is_full", "_is_lost", "_number",
        "_protocol", "_socket", "_unsent", "_was_answered",
    )  # fmt: skip

    def __init__(
        self, *, door: "Listener", connection: socket.socket, protocol: "HttpConnection"
    ) -> None:
        super().__init__()
        self._door = door
        self._socket = connection
        self._number = connection.fileno()
        self._protocol = protocol
        self._events = select.EPOLLIN
        self._unsent = bytearray()
        self._is_full = False
        # Whether the end is to be sent after what is unsent.
        self._is_eof_due = False
        self._is_closing = False
        self._is_lost = False
        # Whether the door answered before it handed on what is here now.
        self._was_answered = False

    @property
    def number(self) -> int:
        """Its descriptor."""
        return self._number

    def start(self) -> None:
        """Tell the protocol that it is connected."""
        try:
            self._protocol.connection_made(self)
            self.rest()
        except Exception as exc:
            self.fail(exc)

    def begin(self, data: bytes, found: "Slot | RejectedRequest | None") -> None:
        """Hand on what begins a request, and what the gate found; nothing: the client's end."""
        resting = self._door.resting
        self._was_answered = resting[self._number] == 2
        resting[self._number] = 0
        try:
            if data:
                self._protocol.begin(data, found)
            else:
                self._end_input()
        except Exception as exc:
            self.fail(exc)

    def on_events(self, events: int) -> None:
        """Send and read as far as it goes now."""
        try:
            if events & select.EPOLLOUT:
                self._send()
            if self._is_lost:
                return
            if self._events & select.EPOLLIN:
                if events & ~select.EPOLLOUT:
                    self._read()
            elif events & (select.EPOLLHUP | select.EPOLLERR):
                # Nothing more will come, and nobody reads.
                self.lose(None)
        except Exception as exc:
            self.fail(exc)

    def rest(self) -> None:
        """Say that all that came was answered: what comes next begins a request."""
        if not (self._unsent or self._is_closing):
            self._door.resting[self._number] = 1

    def was_answered(self) -> bool:
        """Say whether the door answered since this was last asked."""
        was, self._was_answered = self._was_answered, False
        resting = self._door.resting
        if resting[self._number] == 2:
            resting[self._number] = 1
            return True
        return was

    def lose(self, exc: Exception | None) -> None:
        """Give up the connection: nothing more is sent, and the protocol is told in a moment."""
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        self._unsent.clear()
        self._door.forget(self)
        asyncio.get_running_loop().call_soon(self._end, exc)

    def fail(self, exc: Exception) -> None:
        """End with an error that nobody meant, which is one connection's and not everybody's."""
        context = {"message": "a connection failed", "exception": exc, "transport": self}
        asyncio.get_running_loop().call_exception_handler(context)
        self.lose(exc)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send at once what goes, and the rest as the client reads."""
        if self._is_eof_due:
            raise RuntimeError("the end was sent already")
        if self._is_lost or not data:
            return
        sent = 0
        if not self._unsent:
            sent = self._put(data)
            if sent == len(data) or self._is_lost:
                return
            self._door.resting[self._number] = 0
            self._want(self._events | select.EPOLLOUT)
        self._unsent += memoryview(data)[sent:]
        if len(self._unsent) > _HIGH_BYTES and not self._is_full:
            self._is_full = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        """Send these one after the other."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """Send no more after what is unsent."""
        self._is_eof_due = True
        if not self._unsent:
            self._shut()

    def can_write_eof(self) -> bool:
        """Say that it can."""
        return True

    def close(self) -> None:
        """Read no more, send what is unsent, and end."""
        if self._is_closing:
            return
        self._is_closing = True
        self._door.resting[self._number] = 0
        self._want(self._events & ~select.EPOLLIN)
        if not self._unsent:
            self.lose(None)

    def abort(self) -> None:
        """End now."""
        self.lose(None)

    def is_closing(self) -> bool:
        """Say whether it ends or has ended."""
        return self._is_closing

    def pause_reading(self) -> None:
        """Leave what the client sends to the kernel; repeats are harmless."""
        self._want(self._events & ~select.EPOLLIN)

    def resume_reading(self) -> None:
        """Read again; repeats are harmless."""
        if not self._is_closing:
            self._want(self._events | select.EPOLLIN)

    def is_reading(self) -> bool:
        """Say whether it reads."""
        return bool(self._events & select.EPOLLIN)

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes that the client has not taken yet."""
        return len(self._unsent)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the socket or the client's address, while there is one."""
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
            self.lose(exc)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._end_input()

    def _end_input(self) -> None:
        self._want(self._events & ~select.EPOLLIN)
        if not self._protocol.eof_received():
            self.close()

    def _put(self, data: bytes | bytearray | memoryview) -> int:
        """Return how much went; the connection is lost where nothing ever will."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            self.lose(exc)
            return 0

    def _send(self) -> None:
        sent = self._put(self._unsent)
        if not sent:
            return
        del self._unsent[:sent]
        if not self._unsent:
            self._want(self._events & ~select.EPOLLOUT)
            if self._is_eof_due:
                self._shut()
        if self._is_full and len(self._unsent) <= _LOW_BYTES:
            self._is_full = False
            self._protocol.resume_writing()
        if self._is_closing and not self._unsent:
            self.lose(None)

    def _shut(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as exc:
            self.lose(exc)

    def _want(self, events: int) -> None:
        if events != self._events and not self._is_lost:
            self._events = events
            self._door.watch(self._number, events)

    def _end(self, exc: Exception | None) -> None:
        try:
            self._protocol.connection_lost(exc)
        finally:
            self._socket.close()
            # Each holds the other, and the collector of such circles comes seldom.
            del self._protocol
