"""One keep-alive HTTP connection with one request in flight, on a bare socket.

It supports just enough HTTP for answers with a Content-Length: a client library would use more
CPU than the services that are measured.
"""

import socket
from typing import NamedTuple

_READ_BYTES = 65536


class HungUp(Exception):
    """The service closed the connection."""


class Answer(NamedTuple):
    """The answer to the order with this number."""

    number: int
    status: int
    keep_alive: bool


class Connection:
    """Open on creation; ``send`` one request, ``receive`` until it returns the answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._number = -1
        self._received = b""

    def fileno(self) -> int:
        """Return the descriptor, for ``select``."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def send(self, number: int, request: bytes) -> None:
        """Send a request; it fits the socket's buffer. Raises ``HungUp``."""
        self._number = number
        try:
            self._socket.sendall(request)
        except OSError as error:
            raise HungUp from error

    def receive(self) -> Answer | None:
        """Read what has arrived; return the answer once it is complete. Raises ``HungUp``."""
        try:
            chunk = self._socket.recv(_READ_BYTES)
        except OSError as error:
            raise HungUp from error
        if not chunk:
            raise HungUp
        self._received += chunk
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return None
        status, headers = _parse(head)
        if len(body) < int(headers.get(b"content-length", b"0")):
            return None
        self._received = b""
        return Answer(self._number, status, headers.get(b"connection", b"").lower() != b"close")


def _parse(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = head.split(b"\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    return int(first.split(b" ", 2)[1]), headers
